# In: entities ID mentions NUMBER 1 DOCUMENT   (and more, not needed here)
$3 == "mentions" && $5 == 1 {
    if (!($2 in documents)) {
        order[++n] = $2
    }
    documents[$2]++
    holds[$6, ++held[$6]] = $2
    if (held[$6] == 1) {
        doc[++n_docs] = $6
    }
}

END {
    # What occurs in one document only is related to everything in it, which says nothing.
    for (i = 1; i <= n_docs; i++) {
        k = 0
        for (j = 1; j <= held[doc[i]]; j++) {
            if (documents[holds[doc[i], j]] > 1) {
                in_doc[++k] = holds[doc[i], j]
            }
        }
        for (a = 1; a <= k; a++) {
            for (b = a + 1; b <= k; b++) {
                pair(in_doc[a], in_doc[b])
            }
        }
    }
    print "{\"matches\":{"
    for (i = 1; i <= n; i++) {
        e = order[i]
        d = documents[e]
        spread[d == 1 ? 1 : d == 2 ? 2 : d <= 4 ? 3 : d <= 9 ? 4 : d <= 24 ? 5 : 6]++
        if (d < 2) {
            continue
        }
        split("", near)
        split("", weight)
        for (j = 1; j <= partners[e]; j++) {
            other = partner[e, j]
            near[j] = other
            # Shared documents, set against how common the two are anyway.
            weight[other] = shared[e, other] * shared[e, other] / (d * documents[other])
        }
        by_weight(near, weight, partners[e])
        printf "%s%s:{\"documents\":%d,\"related\":[", (first++ ? ",\n" : ""), quote(e), d
        for (j = 1; j <= partners[e] && j <= 24; j++) {
            printf "%s[%s,%d]", (j > 1 ? "," : ""), quote(near[j]), shared[e, near[j]]
        }
        printf "]}"
    }
    print "},\n\"spread\":{\"documents\":" n_docs ",\"entities\":" n + 0 ",\"by_documents\":{\"in 1\":" spread[1] + 0 \
        ",\"in 2\":" spread[2] + 0 ",\"in 3 to 4\":" spread[3] + 0 ",\"in 5 to 9\":" spread[4] + 0 \
        ",\"in 10 to 24\":" spread[5] + 0 ",\"in 25 and more\":" spread[6] + 0 "}}}"
}

function pair(x, y)
{
    if (!((x, y) in shared)) {
        partner[x, ++partners[x]] = y
        partner[y, ++partners[y]] = x
    }
    shared[x, y]++
    shared[y, x]++
}
