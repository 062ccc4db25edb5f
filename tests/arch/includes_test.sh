#!/bin/sh
# Who may include what: dependencies point one way, tools → replay → log → core, and each
# dependency has one place. Needs SRC, the folder with the sources.
set -eu
cd "${SRC:?is not set: the folder with the sources}"

failed=0

# files FOLDER…: our C and C++ files below the folders that exist.
files() {
    for folder in "$@"; do
        [ ! -e "$folder" ] || find "$folder" -type f \( -name '*.c' -o -name '*.cc' -o -name '*.h' \)
    done
}

# includes FILE: what it includes, one name a line.
includes() {
    sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/p' "$1"
}

# forbid PATTERN REASON: no file named on standard input includes what matches.
forbid() {
    found=0
    while read -r file; do
        for header in $(includes "$file"); do
            if echo "$header" | grep -Eq "^($1)\$"; then
                echo "$file includes $header: $2" >&2
                found=1
            fi
        done
    done
    return "$found"
}

# core: standard headers without input, output, time or threads, and itself.
core_allowed='(assert|ctype|errno|float|inttypes|limits|string)\.h|std[a-z]*\.h|core/.*|ratoon\.h'
core_forbidden='stdio\.h|stdio_ext\.h'
for file in $(files core); do
    for header in $(includes "$file"); do
        if ! echo "$header" | grep -Eq "^($core_allowed)\$" ||
            echo "$header" | grep -Eq "^($core_forbidden)\$"; then
            echo "$file includes $header: core is pure" >&2
            failed=1
        fi
    done
done

files core | forbid '(log|replay|tools|tests)/.*' 'core stands alone' || failed=1
files log | forbid '(replay|tools|tests)/.*' 'log depends on core only' || failed=1
files replay | forbid '(tools|tests)/.*' 'replay depends on log and core only' || failed=1
files tools bench | forbid 'tests/.*' 'only tests use the tests' || failed=1
files include | forbid '(core|log|replay|tools|tests)/.*' 'the public headers stand alone' || failed=1

files include core log replay tools | grep -Ev '^log/(.*/)?[^/]*rocksdb[^/]*\.cc?$' |
    forbid 'rocksdb/.*' 'only the RocksDB driver does' || failed=1
files include core log replay tools | grep -Ev '^log/[^/]*codec[^/]*\.cc$' |
    forbid 'flatbuffers/.*|.*_generated\.h' 'only the codec does' || failed=1
files include core log replay tools |
    grep -Ev '^include/ratoon/uv\.h$|^tools/(uv|runner|ratoon|server)/' |
    forbid 'uv\.h|uv/.*|ratoon/uv\.h' 'only the loop adapter and the tools do' || failed=1

# C++ only where a dependency has no C for it.
for file in $(files include core log replay tools | grep '\.cc$'); do
    case "$file" in
    log/codec.cc | log/rocksdb_env.cc | log/rocksdb_listener.cc) ;;
    *)
        echo "$file is C++" >&2
        failed=1
        ;;
    esac
done

exit "$failed"
