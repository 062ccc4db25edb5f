#!/bin/sh
# Examples worth showing: code of some length, with what its first comment says it does.
. ./stages/common.sh

data=$(file_of extension_data)
examples=$(text_of work_folder)/code_examples.tsv
wait_for_repository

awk -F '	' -v min="$RATOON_PARAM_MIN_EXAMPLE_LINES" '
    $2 != "settings" && $2 != "other" && $3 >= min {
        about = ""
        for (n = 0; n < 20 && about == "" && (getline line <$4) > 0; n++) {
            if (line ~ /^#!/) { continue }
            if (sub(/^[ \t]*(#|\/\/|\/?\*+)[ \t]*/, "", line) && line ~ /[a-z][a-z][a-z]/) { about = line }
        }
        close($4)
        gsub(/[^ -~]/, " ", about)
        print $1 "\t" $2 "\t" $3 "\t" $4 "\t" about
    }' "$data" >"$examples.$$"
publish "$examples" code_examples
