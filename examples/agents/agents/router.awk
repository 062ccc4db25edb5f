$1 == "enhanced" && $2 == "keywords" { word[$4] = 1 }
$1 == "enhanced" && $2 == "players" { players = $3 }

END {
    genre = "adventure"
    verbs = "\"find\",\"follow\",\"free\""
    if ("puzzle" in word) {
        genre = "puzzle"
        verbs = "\"turn\",\"match\",\"order\""
    } else if ("racing" in word) {
        genre = "racing"
        verbs = "\"chase\",\"pass\",\"outrun\""
    }
    printf "{\"route\":{\"genre\":\"%s\",\"mode\":\"%s\",\"verbs\":[%s]}}\n", \
        genre, (players > 1 ? "together" : "alone"), verbs
}
