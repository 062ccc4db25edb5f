#!/bin/sh
# One page as Markdown: what the thing is, how documents speak of it, and which ones. A page
# too short to be worth reading is a failure, not a page.
. ./lib/common.sh

flat "$RATOON_ITEM_VALUE" |
    awk -F '	' -v min_chars="$RATOON_PARAM_MIN_DRAFT_CHARS" \
        -f lib/text.awk -f stages/draft.awk >"$RATOON_OUTPUT"
