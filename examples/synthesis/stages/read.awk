{
    n = split(tolower(plain($3)), word, /[^a-z]+/)
    for (i = 1; i <= n; i++) {
        if (length(word[i]) > 4 && !times[word[i]]++) {
            order[++words] = word[i]
        }
    }
}

END {
    printf "{\"words\":{"
    for (i = 1; i <= words; i++) {
        printf "%s\"%s\":%d", (i > 1 ? "," : ""), order[i], times[order[i]]
    }
    print "}}"
}
