#!/bin/sh
# A walk: a node without a text is regenerated and what it is part of recombined; a migration stops
# half-way and goes on. Checked with what the stages counted; everything written is in demo/.
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

expect() # NUMBER STAGE: how often its program was started since the last call of this
{
    n=$(tail -n "+$seen" "$SYNTHESIS_COUNTS" | cut -f 2 | grep -cx "$2" || :)
    [ "$n" -eq "$1" ] || stop "$2: expected $1 executions, counted $n"
}

mark() { seen=$(($(wc -l <"$SYNTHESIS_COUNTS") + 1)); }

[ -x "$RATOON" ] || stop "no ratoon at $RATOON; build it first (make), or say where it is: RATOON=..."
rm -rf demo
mkdir demo
SYNTHESIS_COUNTS=$PWD/demo/executions.log
RATOON_STORE=demo/store
PATH=$(dirname "$(realpath "$RATOON")"):$PATH # stages ask for other runs' results
export SYNTHESIS_COUNTS RATOON_STORE PATH

title "1. Three nodes; the agent has nothing to say about the keeper"
try 0 --quiet run member.yaml --state nodes/tides.json --subject tides
try 0 --quiet run member.yaml --state nodes/harbour.json --subject harbour
try 1 run member.yaml --state nodes/keeper.json --subject keeper --param agent=silent

title "2. Nothing was invented in its place: the error and the whole input are kept"
try 0 state @subject:keeper

title "3. A synthesis of the three has a gap"
try 0 run synthesis.yaml --state nodes/lighthouse.json --subject lighthouse
try 0 state @subject:lighthouse text

title "4. The keeper is regenerated, and the combining stage follows"
mark
try 0 retry @subject:keeper --param agent=steady --reason "another agent"
try 0 state @subject:lighthouse text
expect 0 read
expect 1 generate
expect 0 outline
expect 1 combine
try 0 tree @subject:lighthouse
try 0 stale

title "5. A migration: one stage a version"
cp graph.txt demo/graph.txt
try 4 run migration.yaml --param graph=demo/graph.txt --subject graph --target 4
[ "$(head -n 1 demo/graph.txt)" = 0 ] || stop "the graph was touched"
try 1 run migration.yaml --param graph=demo/graph.txt --subject graph --param broken=to_2
try 0 list --subject graph --in-flight
mark
try 0 retry @subject:graph --param broken=
expect 0 to_1
expect 1 to_2
expect 1 to_3
cat demo/graph.txt

title "6. Is the history whole?"
try 0 verify
printf '\nThe store is left in %s/demo/store, the counts in demo/executions.log.\n' "$PWD"
