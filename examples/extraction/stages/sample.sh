#!/bin/sh
# Which documents there are: each file once, whatever links lead to it, short ones first, so that
# documents of one batch are of similar length and little memory is lost to padding.
. ./stages/common.sh

folder=$RATOON_PARAM_DOCUMENTS
[ -d "$folder" ] || fail 4 "no folder $folder"
# Names that could not be written into a list are left out.
samples=$(find -L "$folder" -maxdepth 1 -type f -size +0 ! -name '*[!A-Za-z0-9._+-]*' -exec realpath {} + |
    sort -u | xargs -r -d '\n' stat -c '%s	%n' -- | sort -n |
    head -n "$RATOON_PARAM_MAX_SAMPLES" | awk -F '	' '{ name = $2; sub(/.*\//, "", name); print name "\t" $2 }')
[ -n "$samples" ] || fail 4 "no document in $folder"
{
    echo 'samples<<END'
    printf '%s\n' "$samples"
    echo END
} >"$RATOON_OUTPUT"
