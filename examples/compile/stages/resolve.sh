#!/bin/sh
# The same thing has many names ("GPLv2+", "GPL-2", "version 2 of the GNU GPL"): mentions become
# entities, each with the documents that mention it.
. ./lib/common.sh

flat "$RATOON_STATE" extractions |
    awk -F '	' -f lib/text.awk -f stages/resolve.awk >"$RATOON_OUTPUT"
