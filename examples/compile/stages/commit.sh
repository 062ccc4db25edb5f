#!/bin/sh
# One page into the output folder. It appears under its name only when it is whole.
. ./lib/common.sh

output=$RATOON_PARAM_OUTPUT
[ -d "$output" ] || mkdir -p "$output"
page=$output/$RATOON_ITEM.md
tmp=$output/.$RATOON_ITEM.$RATOON_RUN
trap 'rm -f "$tmp"' EXIT

case $page in
    /*) file=$page ;;
    *) file=$PWD/$page ;;
esac
flat "$RATOON_ITEM_VALUE" |
    awk -F '	' -v page="$tmp" -v file="$file" -f lib/text.awk -f stages/commit.awk >"$RATOON_OUTPUT"
mv "$tmp" "$page"
