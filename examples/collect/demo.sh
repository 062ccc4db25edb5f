#!/bin/sh
# A collection that is killed in the middle, resumed, done as far as asked for, and begun afresh.
# Everything it writes is in demo/ (made anew each time) and work/.
set -eu
case ${RATOON:=} in
    '') RATOON=$(cd "$(dirname "$0")" && pwd)/../../build/release/ratoon ;;
    /*) ;;
    */*) RATOON=$PWD/$RATOON ;;
    *) RATOON=$(command -v "$RATOON" || echo "$RATOON") ;;
esac
cd "$(dirname "$0")"
store=demo/store

title() { printf '\n== %s\n\n' "$*"; }
stop()
{
    printf '\ndemo: %s\n' "$*" >&2
    exit 1
}

# Shows a command, runs it, expects its exit code.
ends() # CODE WORD...
{
    expected=$1
    shift
    printf '$ ratoon'
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./=:@,-]* | '') printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    code=0
    "$RATOON" --store "$store" "$@" || code=$?
    [ "$code" -eq "$expected" ] || stop "this should have ended with exit code $expected, not $code"
}

executed() # what was executed since the last call, as the stages counted it themselves
{
    stages=$(cut -f 2 "$COLLECT_COUNTS" | tr '\n' ' ')
    printf 'executed: %s\n' "${stages:-nothing}"
    : >"$COLLECT_COUNTS"
}

[ -x "$RATOON" ] || stop "no ratoon at $RATOON; build it first (make), or say where it is: RATOON=..."
rm -rf demo
mkdir -p demo/cache
COLLECT_COUNTS=$PWD/demo/executions.log
COLLECT_HOLD=$PWD/demo/hold
XDG_CACHE_HOME=$PWD/demo/cache
export COLLECT_COUNTS COLLECT_HOLD XDG_CACHE_HOME
unset RATOON_STORE
: >"$COLLECT_COUNTS"

title "1. A collection that is killed (kill -9) while it looks for code examples"
: >demo/hold.code_examples # the repository doesn't answer that stage
"$RATOON" --store "$store" --quiet run pipeline.yaml --param output=demo/data >demo/killed.out 2>&1 &
runner=$!
until grep -q code_examples "$COLLECT_COUNTS"; do
    kill -0 "$runner" 2>/dev/null || stop "the run ended by itself: $(cat demo/killed.out)"
    sleep 0.05
done
kill -9 "$runner"
wait "$runner" 2>/dev/null || :
rm demo/hold.code_examples
ends 0 show @last
executed

title "2. On to the settings: done stages are not executed again, what they found out is back"
ends 9 run pipeline.yaml --resume --until settings --param output=demo/data
executed
ends 0 state @last work_folder

title "3. And to the end (resume_on_failure: nothing needs to be said)"
ends 0 run pipeline.yaml --param output=demo/data
executed

title "4. Everything is done: that is said, and no error"
ends 0 resume @last
executed

title "5. Afresh, with other parameters; the first collection stays in history"
ends 0 run pipeline.yaml --force --param output=demo/data --param max_extensions=10
executed
ends 0 list
ends 0 verify
printf '\nThe collection is in %s/demo/data/collection.md\n' "$PWD"
