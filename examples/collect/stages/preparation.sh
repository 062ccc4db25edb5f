#!/bin/sh
# What can only be found out here and now: where there is room, and which tools these are.
. ./stages/common.sh

wait_for_repository
cache=${XDG_CACHE_HOME:-$PWD/work}/ratoon-collect
mkdir -p "$cache" || fail 3 "no room for a cache in $cache"
{
    printf 'cache_path=%s\n' "$cache"
    printf 'kit_version=%s\n' "$(sed -n 's/^VERSION_ID="\{0,1\}\([^"]*\).*/\1/p' /etc/os-release)"
    printf 'work_folder=%s\n' "$(mktemp -d "$PWD/work/collect.XXXXXX")"
} >"$RATOON_OUTPUT"
