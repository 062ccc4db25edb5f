# In:  extractions DOCUMENT terms NUMBER FIELD VALUE, where the fields are kind, term,
#      occurrences, passage, e-mail address
BEGIN {
    while ((getline line <"vocabulary.tsv") > 0) {
        if (line !~ /^#/) {
            split(line, col, "\t")
            title_of[col[1]] = col[2] ":" col[1]
            note[col[2] ":" col[1]] = col[5]
            k = split(col[3], name, "|")
            for (i = 1; i <= k; i++) {
                title_of[name[i]] = col[2] ":" col[1]
            }
        }
    }
}

$3 == "terms" {
    if ($5 == 1) {
        flush()
        kind = $6
        document = $2
    } else if ($5 == 2) {
        term = plain($6)
    } else if ($5 == 3) {
        times = $6
    } else if ($5 == 4) {
        passage = $6
    } else {
        address = $6
    }
}

END {
    flush()
    if (n_mentions == 0) {
        print "no document yielded a term" >"/dev/stderr"
        exit 3
    }
    merge_holders()
    gather()
    write()
}

function flush()
{
    if (kind != "") {
        n_mentions++
        m_kind[n_mentions] = kind
        m_document[n_mentions] = document
        m_term[n_mentions] = term
        m_times[n_mentions] = times
        m_passage[n_mentions] = passage
        m_entity[n_mentions] = identify(kind, term)
        if (kind == "holder" && address != "") {
            m_address[n_mentions] = address
        }
    }
    kind = ""
    address = ""
}

# The name under which all mentions of one thing meet.
function identify(kind, term, s)
{
    if (kind == "phrase" || (term in title_of)) {
        return title_of[term]
    }
    s = fold(term)
    if (kind == "licence") {
        gsub(/[ _]+/, "-", s)
        sub(/(-or-later|-or-newer|-later|-only)$/, "", s)
        sub(/\+$/, "", s)
        sub(/-?v(ersion)?[.]?-?([0-9])/, "-&", s)
        sub(/--?v(ersion)?[.]?-?/, "-", s)
        sub(/-licen[sc]e$/, "", s)
    } else if (kind == "holder") {
        gsub(/[.,'"]/, " ", s)
        gsub(/[ ]+/, " ", s)
        gsub(/ [a-z] /, " ", s) # initials in the middle come and go
        while (sub(/ (inc|corp|corporation|incorporated|ltd|limited|llc|gmbh|ag|co|company|contributors|foundation inc)[ ]*$/, "", s)) {
        }
        gsub(/^ | $/, "", s)
    } else if (length(s) > 5 && s !~ /ss$/) {
        sub(/s$/, "", s)
    }
    if (kind != "holder" && (s in title_of)) {
        return title_of[s]
    }
    if (kind == "term" && (fold(term) in title_of)) {
        return title_of[fold(term)]
    }
    return kind ":" s
}

# One e-mail address and one last name: one person, however the first name is written.
function merge_holders(i, last, key)
{
    for (i = 1; i <= n_mentions; i++) {
        if (i in m_address) {
            last = m_entity[i]
            sub(/.* /, "", last)
            key = m_address[i] SUBSEP last
            if (!(key in known_as)) {
                known_as[key] = m_entity[i]
            } else if (known_as[key] != m_entity[i] && !(m_entity[i] in same_as)) {
                if (known_as[key] in same_as) {
                    same_as[m_entity[i]] = same_as[known_as[key]]
                } else {
                    same_as[m_entity[i]] = known_as[key]
                }
            }
        }
    }
}

function gather(i, e, d)
{
    for (i = 1; i <= n_mentions; i++) {
        e = m_entity[i]
        while ((e in same_as) && hops++ < 10) {
            e = same_as[e]
        }
        hops = 0
        d = e SUBSEP m_document[i]
        if (!(e in documents)) {
            order[++n_entities] = e
        }
        if (!(d in occurrences)) {
            listed[e, ++documents[e]] = m_document[i]
            at[d] = m_passage[i]
            as[d] = m_term[i]
        } else if (m_kind[i] == "phrase") {
            at[d] = m_passage[i]
        }
        # A quoted "AS IS" is found twice, as a quoted word and as a known phrase; it counts once.
        by_kind[d, m_kind[i]] += m_times[i]
        if (by_kind[d, m_kind[i]] > occurrences[d]) {
            occurrences[d] = by_kind[d, m_kind[i]]
        }
        if (!((e SUBSEP m_term[i]) in written)) {
            name_of[e, ++names[e]] = m_term[i]
        }
        written[e, m_term[i]]++
    }
}

function write(i, j, e, d, title, id)
{
    by_weight(order, documents, n_entities)
    print "{\"entities\":{"
    for (i = 1; i <= n_entities; i++) {
        e = order[i]
        # Called what it is called most often, unless the vocabulary has a name for it.
        if (e in note) {
            title = e
            sub(/^[a-z]*:/, "", title)
        } else {
            title = name_of[e, 1]
            for (j = 2; j <= names[e]; j++) {
                if (written[e, name_of[e, j]] > written[e, title]) {
                    title = name_of[e, j]
                }
            }
        }
        id = slug(title)
        if (id == "") {
            id = "entity"
        }
        if (id in taken) {
            id = id "-" (++taken[id])
        } else {
            taken[id] = 1
        }
        kind = e
        sub(/:.*/, "", kind)
        print (i > 1 ? "," : "") quote(id) ":{\"title\":" quote(title) ",\"kind\":\"" kind "\"" \
            ((e in note) ? ",\"note\":" quote(note[e]) : "") ",\"names\":["
        for (j = 1; j <= names[e] && j <= 8; j++) {
            printf "%s%s", (j > 1 ? "," : ""), quote(name_of[e, j])
        }
        print "],\"mentions\":["
        for (j = 1; j <= documents[e]; j++) {
            d = e SUBSEP listed[e, j]
            print (j > 1 ? "," : "") "[" quote(listed[e, j]) "," at[d] "," occurrences[d] "," quote(as[d]) "]"
        }
        print "]}"
    }
    print "},\"found\":{\"mentions\":" n_mentions ",\"entities\":" n_entities "}}"
}
