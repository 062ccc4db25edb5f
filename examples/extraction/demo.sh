#!/bin/sh
# A job that runs out of memory, is retried by hand and by itself; one that is stuck and cancelled.
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

[ -x "$RATOON" ] || stop "no ratoon at $RATOON; build it first (make), or say where it is: RATOON=..."
rm -rf demo
mkdir demo
EXTRACTION_COUNTS=$PWD/demo/executions.log
EXTRACTION_DEVICE=$PWD/demo/device
export EXTRACTION_COUNTS EXTRACTION_DEVICE
unset RATOON_STORE

title "1. Batches of 8 don't fit into the device's memory"
ends 1 run pipeline.yaml

title "2. By hand: 4, as suggested, and then 2"
ends 1 retry @last --param batch_size=4 --reason "as suggested"
ends 0 retry @last --param batch_size=2 --reason "as suggested, again"
ends 0 tree @last

title "3. What is no power of two is refused before anything happens"
ends 4 retry @last --from extract --rerun --param batch_size=3

title "4. By itself: at most three retries, each with its reason"
ends 0 run pipeline.yaml --auto-retry 3
ends 0 tree @last

title "5. Stuck: somebody else has the device. Cancelled from another process"
flock --no-fork "$EXTRACTION_DEVICE" sh -c 'echo >demo/held; exec sleep 600' &
holder=$!
trap 'kill "$holder" 2>/dev/null || :' EXIT
while [ ! -e demo/held ]; do sleep 0.05; done
"$RATOON" --store "$store" --quiet run pipeline.yaml --param batch_size=2 >demo/stuck.out &
stuck=$!
until "$RATOON" --store "$store" show @last | grep -q "waiting for the device"; do
    kill -0 "$stuck" || stop "the run ended, though the device isn't free"
    sleep 0.05
done
ends 0 cancel @last --reason "stuck for too long"
code=0
wait "$stuck" || code=$?
[ "$code" -eq 8 ] || stop "the cancelled run should have ended with exit code 8, not $code"
kill "$holder"
wait "$holder" 2>/dev/null || :
ends 0 retry @last --reason "the device is free again"

title "6. What was executed, as the stages themselves counted it; and is the history whole?"
awk -F '	' '{ print $1, $2, "batch_size " $3 }' "$EXTRACTION_COUNTS"
ends 0 verify

title "The terms"
"$RATOON" --store "$store" state @last report
