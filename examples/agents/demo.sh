#!/bin/sh
# A walk through a graph of agents that fails twice and is repaired. Every check below is made with
# what the agents counted themselves; everything written is in demo/, made anew each time.
set -eu
case ${RATOON:=} in
    '') RATOON=$(cd "$(dirname "$0")" && pwd)/../../build/release/ratoon ;;
    /*) ;;
    */*) RATOON=$PWD/$RATOON ;;
    *) RATOON=$(command -v "$RATOON" || echo "$RATOON") ;;
esac
cd "$(dirname "$0")"

title() { printf '\n== %s\n\n' "$*"; }
stop()
{
    printf '\ndemo: %s\n' "$*" >&2
    exit 1
}

try() # EXIT-CODE ARGUMENTS: shows a command, executes it, expects its exit code
{
    expected=$1
    shift
    echo "\$ ratoon $*"
    code=0
    "$RATOON" "$@" || code=$?
    [ "$code" -eq "$expected" ] || stop "expected exit code $expected, not $code"
}

counted() # call|tokens RUN AGENT
{
    awk -F '	' -v what="$1" -v run="$2" -v agent="$3" \
        '$3 == what && $1 == run && $2 == agent { n += $4 } END { print n + 0 }' "$AGENTS_COUNTS"
}

newest() { tail -n 1 "$AGENTS_COUNTS" | cut -f 1; }

expect() # NUMBER call|tokens RUN AGENT
{
    n=$(counted "$2" "$3" "$4")
    [ "$n" -eq "$1" ] || stop "$4: expected $1 ($2), counted $n"
}

[ -x "$RATOON" ] || stop "no ratoon at $RATOON; build it first (make), or say where it is: RATOON=..."
rm -rf demo
mkdir demo
AGENTS_COUNTS=$PWD/demo/calls.log
RATOON_STORE=demo/store
export AGENTS_COUNTS RATOON_STORE

title "1. A budget of 40 tokens pays for two levels of five"
try 1 run pipeline.yaml --state request.json --param token_budget=40
first=$(newest)
expect 32 tokens "$first" blueprint_generator

title "2. What is left of it, and what a retry with its partial work would do"
try 0 show "$first"
try 0 retry "$first" --partial include --param token_budget=80 --dry-run

title "3. The retry: no agent before blueprint_generator is asked again, no level is paid twice"
try 0 retry "$first" --partial include --param token_budget=80 --reason "a larger budget"
second=$(newest)
for agent in input_enhancer router game_planner lore_writer plan_validator; do
    expect 0 call "$second" $agent
done
expect 48 tokens "$second" blueprint_generator

title "4. The validator asks for more: what is generated anew is what it validates"
try 1 run pipeline.yaml --state request.json --param min_words=20
third=$(newest)
try 0 retry "$third" --from blueprint_validator --param detail=3
fourth=$(newest)
expect 1 call "$fourth" blueprint_generator
expect 1 call "$fourth" blueprint_validator
expect 0 call "$fourth" plan_validator

title "5. A branch that fails and is forgiven: degraded, repaired without touching the plan"
try 0 run pipeline.yaml --state request.json --param outage=lore_writer
try 0 retry @last --param outage=
sixth=$(newest)
expect 0 call "$sixth" game_planner
expect 1 call "$sixth" lore_writer

title "6. History"
try 0 tree "$second"
try 0 explain "$second" game_planner
try 0 explain "$second" blueprint_generator
try 0 verify
printf '\nThe store is left in %s/demo/store, the counts in demo/calls.log.\n' "$PWD"
