#!/bin/sh
# The members in the order in which they are combined: by name.
. ./lib/stage.sh

flat "$RATOON_STATE" members | cut -f 3 | sort |
    awk '{ list = list (NR > 1 ? "," : "") "\"" $0 "\"" } END { print "{\"outline\":[" list "]}" }' >"$RATOON_OUTPUT"
