# Helpers for tests of the command in sh. Use:
#
#   . "$SRC/tests/command/lib.sh"
#   run --store s show nothing
#   expect_exit 3
#   expect_stderr 'NOT_FOUND'
#
# Sourcing it makes a temporary folder, enters it, and removes it at the end. `run` executes the
# command and keeps its exit code in $status and its output in the files $out and $err. The first
# expectation that fails prints what was run and what it answered, and ends the test.
# shellcheck shell=sh

set -eu
: "${RATOON:?is not set: the path of the built command}"
: "${SRC:?is not set: the folder with the sources}"
unset RATOON_STORE

work=$(mktemp -d "${TMPDIR:-/tmp}/command.XXXXXX")
# shellcheck disable=SC2034
out=$work/.out
err=$work/.err
: >"$out"
: >"$err"
status=
last_command=

cleanup() {
    cd / && chmod -R u+rwX "$work" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work"

# run ARGUMENT…: executes the command.
run() {
    run_any "$RATOON" "$@"
}

# run_any PROGRAM ARGUMENT…: executes anything else in the same way.
run_any() {
    last_command=$*
    status=0
    "$@" >"$out" 2>"$err" </dev/null || status=$?
}

# fail MESSAGE: ends the test.
fail() {
    {
        echo "FAILED: $*"
        echo "  command: $last_command"
        echo "  exit code: $status"
        echo "  stdout:"
        sed 's/^/    /' "$out"
        echo "  stderr:"
        sed 's/^/    /' "$err"
    } >&2
    exit 1
}

# expect_exit CODE: of the last run.
expect_exit() {
    [ "$status" = "$1" ] || fail "expected exit code $1, got $status"
}

# expect_stdout TEXT, expect_stderr TEXT: the output holds this text.
expect_stdout() {
    grep -qF -- "$1" "$out" || fail "expected on stdout: $1"
}

expect_stderr() {
    grep -qF -- "$1" "$err" || fail "expected on stderr: $1"
}

# refute_stdout TEXT, refute_stderr TEXT: the output does not hold this text.
refute_stdout() {
    ! grep -qF -- "$1" "$out" || fail "not expected on stdout: $1"
}

refute_stderr() {
    ! grep -qF -- "$1" "$err" || fail "not expected on stderr: $1"
}

# expect_equal EXPECTED ACTUAL [WHAT]
expect_equal() {
    [ "$1" = "$2" ] || fail "${3:-value}: expected '$1', got '$2'"
}

expect_file() {
    [ -e "$1" ] || fail "expected a file: $1"
}

refute_file() {
    [ ! -e "$1" ] || fail "not expected: a file $1"
}

# json EXPRESSION [FILE]: evaluates a Python expression over the last JSON line of a file (default:
# the last stdout), as `d`, and prints the result; strings bare, all else as JSON.
json() {
    /usr/bin/python3 -c '
import json, sys
lines = [l for l in open(sys.argv[2], encoding="utf-8") if l.strip()]
d = json.loads(lines[-1])
v = eval(sys.argv[1])
print(v if isinstance(v, str) else json.dumps(v, ensure_ascii=False))
' "$1" "${2:-$out}" || fail "no such JSON: $1"
}
