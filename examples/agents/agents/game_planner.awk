$1 == "enhanced" && $2 == "keywords" { theme[++n] = $4 }
$1 == "enhanced" && $2 == "levels" { levels = $3 }
$1 == "route" && $2 == "genre" { genre = $3 }
$1 == "route" && $2 == "verbs" { verb[++verbs] = $4 }

END {
    # Who is tired forgets a level.
    if (effort == "low") {
        levels--
    }
    start = genre == theme[1] && n > 1 ? 2 : 1
    printf "{\"plan\":{\"title\":%s,\"genre\":\"%s\",\"levels\":[", quote("The " genre " of " theme[start]), genre
    for (i = 1; i <= levels; i++) {
        printf "%s{\"key\":\"level-%d\",\"theme\":%s,\"verb\":\"%s\",\"difficulty\":%d}", (i > 1 ? "," : ""), \
            i, quote(theme[start + (i - 1) % (n - start + 1)]), verb[1 + (i - 1) % verbs], int((i + 1) / 2)
    }
    print "]}}"
}
