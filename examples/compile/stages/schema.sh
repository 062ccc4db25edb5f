#!/bin/sh
# What makes a folder of pages a glossary: an index, the list of documents with the pages each
# of them leads to, and the same as JSON with a schema that says what is in it.
. ./lib/common.sh

output=$RATOON_PARAM_OUTPUT
[ -d "$output" ] || mkdir -p "$output"
flat "$RATOON_STATE" "committed entities sources skipped documents promotion" |
    awk -F '	' -v output="$output" -f lib/text.awk -f stages/schema.awk >"$RATOON_OUTPUT"
