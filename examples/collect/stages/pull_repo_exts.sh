#!/bin/sh
# Which extensions the repository has: the packages with examples.
. ./stages/common.sh

repository=$RATOON_PARAM_REPOSITORY
[ -d "$repository" ] || fail 75 "the repository $repository is not there"
wait_for_repository
# Names that could not be written into a list are left out.
extensions=$(find "$repository" -mindepth 2 -maxdepth 2 -name examples -type d |
    sed 's|/examples$||; s|.*/||' | grep -v '[^A-Za-z0-9._+-]' | sort | head -n "$RATOON_PARAM_MAX_EXTENSIONS")
[ -n "$extensions" ] || fail 3 "no extension in $repository"
{
    printf 'repository=%s\n' "$(realpath "$repository")"
    echo 'extensions<<END'
    printf '%s\n' "$extensions"
    echo END
} >"$RATOON_OUTPUT"
