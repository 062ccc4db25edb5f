#!/bin/sh
# The graph as it is when the migration begins, as lines.
. ./lib/stage.sh

awk '{ list = list (NR > 1 ? "," : "") "\"" $0 "\"" } END { print "{\"archive\":[" list "]}" }' \
    "$RATOON_PARAM_GRAPH" >"$RATOON_OUTPUT"
