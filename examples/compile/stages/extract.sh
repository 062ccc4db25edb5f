#!/bin/sh
# One document: its text as clean UTF-8, one passage a line, in a file; and the terms found in
# it, each with how often it occurs and the passage that shows it best.
. ./lib/common.sh

path=$(flat "$RATOON_ITEM_VALUE" path | cut -f 2)
if [ ! -f "$path" ] || [ ! -r "$path" ]; then
    fail 4 "$path is gone or not readable, though ingest_urls listed it"
fi
[ -d work/text ] || mkdir -p work/text
name=$(printf %s "$RATOON_ITEM" | tr / _)
text=work/text/$name.txt
tmp=work/text/.$name.$RATOON_RUN
trap 'rm -f "$tmp".*' EXIT

# Most documents are UTF-8; the old ones say nothing and are Latin-1, which every byte fits.
encoding=UTF-8
if ! iconv -f UTF-8 -t UTF-8 "$path" >"$tmp.utf8" 2>/dev/null; then
    encoding=ISO-8859-1
    iconv -f ISO-8859-1 -t UTF-8 "$path" >"$tmp.utf8"
fi

tr -d '\000' <"$tmp.utf8" |
    awk -v encoding="$encoding" -v document="$RATOON_ITEM" -v passages="$tmp.txt" -v file="$PWD/$text" \
        -f lib/text.awk -f stages/extract.awk >"$RATOON_OUTPUT"
# Under its name only when whole: another run may be reading the last one.
mv "$tmp.txt" "$text"
