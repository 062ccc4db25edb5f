#!/bin/sh
# Settings that extensions know, with the value their example file gives them.
. ./stages/common.sh

data=$(file_of extension_data)
settings=$(text_of work_folder)/settings.tsv
kit=$(text_of kit_version)
wait_for_repository

awk -F '	' -v kit="$kit" '
    BEGIN { print "# kit " kit }
    $2 == "settings" {
        while ((getline line <$4) > 0) {
            if (match(line, /^[ \t]*[A-Za-z_][A-Za-z0-9_.-]*[ \t]*=/)) {
                name = substr(line, 1, RLENGTH - 1)
                value = substr(line, RLENGTH + 1)
                gsub(/[ \t]/, "", name)
                gsub(/^[ \t]+|[ \t]+$|[^ -~]/, "", value)
                print $1 "\t" name "\t" value
            }
        }
        close($4)
    }' "$data" >"$settings.$$"
publish "$settings" settings
