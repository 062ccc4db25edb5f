#!/bin/sh
# Across documents: which entities occur together, and in how many documents each occurs. The
# last is what the threshold of `plan` is chosen by, so it is kept as a small table of its own.
. ./lib/common.sh

flat "$RATOON_STATE" entities |
    awk -F '	' -f lib/text.awk -f stages/match.awk >"$RATOON_OUTPUT"
