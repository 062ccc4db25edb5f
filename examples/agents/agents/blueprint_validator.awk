$1 == "plan" && $2 == "levels" && $4 == "key" { planned[++levels] = $5 }
$1 == "blueprint" && $2 == "sections" && $4 == "words" { words[$3] = $5 }

END {
    for (i = 1; i <= levels; i++) {
        if (!(planned[i] in words)) {
            print planned[i] " has no section" >"/dev/stderr"
            bad = 1
        } else if (words[planned[i]] < min) {
            printf "the section of %s has %d words, min_words asks for %d\n", \
                planned[i], words[planned[i]], min >"/dev/stderr"
            bad = 1
        }
    }
    if (bad) {
        exit 3
    }
}
