#!/bin/sh
# Writes a section for each level, as long as the budget lasts. Each section is put out at once as
# partial work; sections that are in the state already (retry --partial include) are not paid twice.
. ./lib/agent.sh

think "plan lore sections" -v budget="$RATOON_PARAM_TOKEN_BUDGET" -v detail="$RATOON_PARAM_DETAIL" \
    -v events="$RATOON_EVENTS" -v counts="$counts" -v who="$RATOON_RUN	$RATOON_STAGE"
