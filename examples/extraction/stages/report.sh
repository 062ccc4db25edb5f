#!/bin/sh
# A table: each document with its terms, and what many documents have in common.
. ./stages/common.sh

{
    echo 'report<<END'
    text_of features | awk -F '	' '
        { print $1 ": " $2; n = split($2, term, ", "); for (i = 1; i <= n; i++) { seen[term[i]]++ } }
        END {
            for (t in seen) { if (seen[t] > 1) { print "in " seen[t] " documents: " t | "sort -k2,2nr -k4" } }
        }'
    echo END
} >"$RATOON_OUTPUT"
