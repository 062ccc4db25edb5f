#!/bin/sh
# Of each extension: its example files, packed ones unpacked into the cache, with language and size.
. ./stages/common.sh

repository=$(text_of repository)
cache=$(text_of cache_path)
table=$(text_of work_folder)/extension_data.tsv
extensions=$(text_of extensions)
total=$(printf '%s\n' "$extensions" | wc -l)
wait_for_repository

done=0
for extension in $extensions; do
    find -L "$repository/$extension/examples" -type f -size -1024k ! -name '*[!A-Za-z0-9._+-]*' | sort | while read -r file; do
        case $file in
            *.gz)
                mkdir -p "$cache/$extension"
                plain=$cache/$extension/$(basename "$file" .gz)
                gzip -dc "$file" >"$plain.$$" && mv "$plain.$$" "$plain"
                file=$plain
                ;;
        esac
        printf '%s\t%s\n' "$extension" "$file"
    done
    done=$((done + 1))
    progress $done "$total" "$extension"
done | awk -F '	' '
    {
        suffix = $2
        sub(/.*\//, "", suffix)
        suffix = index(suffix, ".") ? tolower(suffix) : ""
        sub(/.*\./, "", suffix)
        language = "other"
        if (suffix ~ /^(c|h|cc|cpp|hpp)$/) { language = "C and C++" }
        if (suffix ~ /^(pl|pm)$/) { language = "Perl" }
        if (suffix == "py") { language = "Python" }
        if (suffix ~ /^(sh|bash)$/) { language = "shell" }
        if (suffix == "awk") { language = "awk" }
        if (suffix ~ /^(conf|cfg|ini|cnf)$/ || $2 ~ /(^|[.\/])(conf|config)([.\/]|$)/) { language = "settings" }
        lines = 0
        while ((getline line <$2) > 0) { lines++ }
        close($2)
        print $1 "\t" language "\t" lines "\t" $2
    }' >"$table.$$"
publish "$table" extension_data
