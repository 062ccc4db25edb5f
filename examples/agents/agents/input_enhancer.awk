$1 == "request" { text = plain($2) }
$1 == "constraints" && $2 == "levels" { levels = $3 }
$1 == "constraints" && $2 == "players" { players = $3 }

END {
    split("about after game games level levels player players quiet their there these those where which with without", w, " ")
    for (i in w) {
        filler[w[i]] = 1
    }
    n = split(fold(text), word, /[^a-z]+/)
    most = effort == "low" ? 2 : 8
    for (i = 1; i <= n && found < most; i++) {
        if (length(word[i]) >= 5 && !(word[i] in filler)) {
            filler[word[i]] = 1
            list = list (found++ ? "," : "") quote(word[i])
        }
    }
    if (!found) {
        print "the request says nothing to make a game of: " quote(text) >"/dev/stderr"
        exit 1
    }
    printf "{\"enhanced\":{\"text\":%s,\"keywords\":[%s],\"levels\":%d,\"players\":%d}}\n", \
        quote(text), list, (levels ? levels : 3), (players ? players : 1)
}
