$1 == "enhanced" && $2 == "keywords" { word[++n] = $4 }

END {
    text = "Once there was the " word[n] "."
    for (i = n - 1; i >= 1 && effort != "low"; i--) {
        text = text " Then came the " word[i] "."
    }
    print "{\"lore\":{\"places\":[" quote(word[1]) "],\"text\":" quote(text) "}}"
}
