#!/bin/sh
# Which documents there are: the licence texts and package copyright files of this system,
# each with its file:// address, size and digest. What can't be used is recorded with the
# reason: a reader of the glossary should be able to tell what it does not cover.
. ./lib/common.sh

licences=$RATOON_PARAM_LICENCES
packages=$RATOON_PARAM_PACKAGES
tmp=work/ingest.$$
trap 'rm -f "$tmp".*' EXIT

: >"$tmp.usable"
: >"$tmp.skipped"
skip() # PATH REASON
{
    printf '%s\t%s\n' "$1" "$2" >>"$tmp.skipped"
}

for path in "$licences"/* "$packages"/*/copyright; do
    case $path in
        */"*" | */"*/copyright") continue ;; # the pattern itself: nothing matched
        *[!\ -~]* | *\\*) skip "$(printf %s "$path" | tr -c ' -~' '?')" "unusual characters in its name" && continue ;;
    esac
    if [ ! -e "$path" ]; then
        skip "$path" "symbolic link to nothing"
    elif [ ! -f "$path" ]; then
        skip "$path" "not a regular file"
    elif [ ! -r "$path" ]; then
        skip "$path" "not readable"
    elif [ ! -s "$path" ]; then
        skip "$path" "empty"
    else
        printf '%s\n' "$path" >>"$tmp.usable"
    fi
done
[ -s "$tmp.usable" ] || fail 3 "no usable document in $licences and $packages"

# One process for all files each, not one per file. realpath prints one line for every
# argument because all of them exist.
xargs -d '\n' realpath -- <"$tmp.usable" >"$tmp.real"
sort -u "$tmp.real" | xargs -d '\n' sha256sum -- >"$tmp.digests" || :
sort -u "$tmp.real" | xargs -d '\n' stat -c '%s	%n' -- >"$tmp.sizes" || :

awk -v max="$RATOON_PARAM_MAX_DOCUMENTS" -v licences="$licences" -v tmp="$tmp" \
    -f lib/text.awk -f stages/ingest_urls.awk /dev/null >"$RATOON_OUTPUT"
progress "$(wc -l <"$tmp.usable")" "$(wc -l <"$tmp.usable")" "documents listed"
