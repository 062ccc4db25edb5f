$1 == "entities" && $3 == "title" { title[$2] = plain($4); order[++n] = $2 }
$1 == "entities" && $3 == "kind" { kind[$2] = $4 }
$1 == "entities" && $3 == "note" { note[$2] = plain($4) }
$1 == "entities" && $3 == "names" { names[$2] = names[$2] (names[$2] ? "," : "") quote(plain($5)) }
$1 == "entities" && $3 == "mentions" {
    if ($5 == 1) {
        mentions[$2]++
        document[$2, mentions[$2]] = $6
    } else if ($5 == 2) {
        passage[$2, mentions[$2]] = $6
    } else if ($5 == 3) {
        times[$2, mentions[$2]] = $6
        total[$2] += $6
    } else {
        as[$2, mentions[$2]] = plain($6)
    }
}
$1 == "texts" && $3 == "file" { text[$2] = plain($4) }
$1 == "matches" && $3 == "related" && $5 == 1 { related[$2, ++n_related[$2]] = $6 }
$1 == "matches" && $3 == "related" && $5 == 2 { shared[$2, n_related[$2]] = $6 }
$1 == "documents" && $2 == "chosen" { all_documents = $3 }

END {
    quoted_max = 24 # a page quotes some documents and names the rest
    related_max = 12
    print "{\"pages\":["
    for (i = 1; i <= n; i++) {
        e = order[i]
        if (mentions[e] >= threshold) {
            page(e)
        }
    }
    if (!promoted) {
        print "no entity is mentioned in " threshold " documents: lower entity_promotion_threshold" >"/dev/stderr"
        exit 3
    }
    print "],\n\"promotion\":{\"threshold\":" threshold ",\"entities\":" n ",\"promoted\":" promoted "}}"
}

function page(e, j, m, k)
{
    split("", by)
    split("", weight)
    for (j = 1; j <= mentions[e]; j++) {
        by[j] = j
        weight[j] = times[e, j]
    }
    by_weight(by, weight, mentions[e])
    print (promoted++ ? ",\n" : "") "{\"key\":" quote(e) ",\"title\":" quote(title[e]) ",\"kind\":\"" kind[e] "\"" \
        ((e in note) ? ",\"note\":" quote(note[e]) : "") ",\"names\":[" names[e] "],\"documents\":" mentions[e] \
        ",\"of\":" all_documents ",\"occurrences\":" total[e] ",\"threshold\":" threshold ",\"mentions\":["
    for (j = 1; j <= mentions[e]; j++) {
        m = by[j]
        printf "%s[%s,%d", (j > 1 ? "," : ""), quote(document[e, m]), times[e, m]
        if (j <= quoted_max) {
            printf ",%d,%s,%s", passage[e, m], quote(as[e, m]), quote(text[document[e, m]])
        }
        print "]"
    }
    printf "],\"related\":["
    k = 0
    for (j = 1; j <= n_related[e] && k < related_max; j++) {
        if (mentions[related[e, j]] >= threshold) {
            printf "%s[%s,%d]", (k++ ? "," : ""), quote(related[e, j]), shared[e, j]
        }
    }
    printf "]}"
}
