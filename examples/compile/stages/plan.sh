#!/bin/sh
# Which entities get a page: those that at least `entity_promotion_threshold` documents mention.
# A plan holds all that drafting its page takes, so that drafts need nothing else.
. ./lib/common.sh

flat "$RATOON_STATE" "entities matches texts documents" |
    awk -F '	' -v threshold="$RATOON_PARAM_ENTITY_PROMOTION_THRESHOLD" \
        -f lib/text.awk -f stages/plan.awk >"$RATOON_OUTPUT"
