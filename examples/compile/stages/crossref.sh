#!/bin/sh
# Pages that name one another are linked, related ones are listed, and each page learns which
# others link to it. Only drafted pages are linked to, so no link leads nowhere.
. ./lib/common.sh

flat "$RATOON_STATE" drafts |
    awk -F '	' -f lib/text.awk -f stages/crossref.awk >"$RATOON_OUTPUT"
