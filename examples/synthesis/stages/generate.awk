$1 == "words" { times[$2] = $3 }
$1 == "sources" { source[++sources] = plain($3) }

END {
    for (s = 1; s <= sources; s++) {
        n = split(source[s], part, /[.!?]+[ \n]*/)
        for (i = 1; i <= n; i++) {
            if (part[i] != "") {
                sentence[++sentences] = part[i]
                by[sentences] = sentences
                weight[sentences] = score(part[i])
            }
        }
    }
    if (!sentences || agent == "silent") {
        print "the agent produced no text" >"/dev/stderr"
        exit 4
    }
    by_weight(by, weight, sentences)
    for (i = 1; i <= sentences && i <= most; i++) {
        text = text (i > 1 ? " " : "") sentence[by[i]] "."
    }
    print "{\"text\":" quote(text) "}"
}

function score(text, n, word, i, sum)
{
    n = split(tolower(text), word, /[^a-z]+/)
    for (i = 1; i <= n; i++) {
        sum += times[word[i]]
    }
    return sum / n
}
