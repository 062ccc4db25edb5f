#!/bin/sh
# One version step: the graph's file is written anew beside the old one and then takes its place, so
# that it always has one version or the other. Its first line is the version, the rest are edges.
. ./lib/stage.sh

step=$1
graph=$RATOON_PARAM_GRAPH
if [ "$RATOON_PARAM_BROKEN" = "$RATOON_STAGE" ]; then
    # A step that is dispatched again is another workflow.
    printf '{"external_ref":"workflow-%s-%d"}\n' "$RATOON_STAGE" "$RATOON_ATTEMPT" >>"$RATOON_EVENTS"
    echo "the workflow of $RATOON_STAGE was lost" >&2
    exit 75
fi
at=$(head -n 1 "$graph")
if [ "$at" -lt "$step" ]; then
    if [ "$at" -ne $((step - 1)) ]; then
        echo "the graph has version $at, $RATOON_STAGE takes one with $((step - 1))" >&2
        exit 1
    fi
    awk -f "stages/migrate_$step.awk" "$graph" >"$graph.new"
    mv "$graph.new" "$graph"
fi
printf '{"version":%d}\n' "$step" >"$RATOON_OUTPUT"
