#!/bin/sh
# One file for readers, with all that was collected.
. ./stages/common.sh

examples=$(file_of code_examples)
settings=$(file_of settings)
output=$RATOON_PARAM_OUTPUT
mkdir -p "$output"
wait_for_repository
collection=$(realpath "$output")/collection.md
{
    echo "# Examples"
    awk -F '	' '
        $1 != last { print "\n## " $1 "\n"; last = $1 }
        { print "- " $4 " (" $2 ", " $3 " lines)" ($5 == "" ? "" : ": " $5) }' "$examples"
    printf '\n# Settings\n\n'
    awk -F '	' '/^#/ { next } { print "- " $1 ": `" $2 "` = `" $3 "`" }' "$settings"
} >"$collection.$$"
publish "$collection" published
