#!/bin/sh
# The sentences of the sources that say most: those with the most frequent words. `silent` is an agent
# that has nothing to say.
. ./lib/stage.sh

printf '{"progress":{"done":0,"total":%d,"message":"choosing sentences"}}\n' \
    "$RATOON_PARAM_SENTENCES" >>"$RATOON_EVENTS"
flat "$RATOON_STATE" "sources words" |
    awk -F '	' -v most="$RATOON_PARAM_SENTENCES" -v agent="$RATOON_PARAM_AGENT" \
        -f ../compile/lib/text.awk -f stages/generate.awk >"$RATOON_OUTPUT"
printf '{"progress":{"done":%d,"total":%d,"message":"done"}}\n' \
    "$RATOON_PARAM_SENTENCES" "$RATOON_PARAM_SENTENCES" >>"$RATOON_EVENTS"
