#!/bin/sh
# How often each word stands in the sources.
. ./lib/stage.sh

flat "$RATOON_STATE" sources | awk -F '	' -f ../compile/lib/text.awk -f stages/read.awk >"$RATOON_OUTPUT"
