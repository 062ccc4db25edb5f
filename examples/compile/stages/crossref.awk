# In: drafts KEY FIELD …
$3 == "title" {
    title[$2] = plain($4)
    order[++n] = $2
    longest[$2] = length(title[$2])
}
$3 == "kind" { kind[$2] = $4 }
$3 == "note" { note[$2] = plain($4) }
$3 == "documents" { documents[$2] = $4 }
$3 == "text" { text[$2] = plain($4) }
$3 == "related" && $5 == 1 { related[$2, ++n_related[$2]] = $6 }
$3 == "related" && $5 == 2 { shared[$2, n_related[$2]] = $6 }

END {
    if (n == 0) {
        print "no drafted page to link" >"/dev/stderr"
        exit 3
    }
    for (i = 1; i <= n; i++) {
        by_length[i] = order[i]
    }
    by_weight(by_length, longest, n) # "GNU General Public License" before "License"
    for (i = 1; i <= n; i++) {
        text[order[i]] = link_names(order[i])
    }
    split("", unweighted)
    by_weight(order, unweighted, n)
    print "{\"linked\":["
    for (i = 1; i <= n; i++) {
        e = order[i]
        print (i > 1 ? "," : "") "{\"key\":" quote(e) ",\"title\":" quote(title[e]) ",\"kind\":\"" kind[e] \
            "\",\"note\":" quote(note[e]) ",\"documents\":" documents[e] ",\"text\":" \
            quote(text[e] see_also(e) linked_from(e) definitions(text[e])) "}"
    }
    print "],\n\"links\":" n_links + 0 "}"
}

# The first place in prose and quotations where another page's title stands becomes a link.
function link_names(e, n_lines, line, i, j, other, at, out, place)
{
    n_lines = split(text[e], line, "\n")
    for (i = 1; i <= n; i++) {
        other = by_length[i]
        if (other == e || length(title[other]) < 4 || index(text[e], title[other]) == 0) {
            continue
        }
        # One word in plain letters ("License") would be linked on every page: that helps nobody.
        if (title[other] !~ / / && title[other] !~ /[0-9]/ && kind[other] != "licence") {
            continue
        }
        for (j = 3; j <= n_lines; j++) {
            if (line[j] ~ /^(#|—|\[|\*|Also written)/ || line[j] ~ /^\[/) {
                continue
            }
            at = whole_word(line[j], title[other])
            if (at > 0) {
                place[++places] = "[" title[other] "](" other ".md)"
                line[j] = substr(line[j], 1, at - 1) "\002" places "\003" substr(line[j], at + length(title[other]))
                back[other, ++n_back[other]] = e
                n_links++
                break
            }
        }
    }
    for (j = 1; j <= n_lines; j++) {
        while (match(line[j], /\002[0-9]+\003/)) {
            line[j] = substr(line[j], 1, RSTART - 1) place[substr(line[j], RSTART + 1, RLENGTH - 2)] \
                substr(line[j], RSTART + RLENGTH)
        }
        out = out line[j] (j < n_lines ? "\n" : "")
    }
    return out
}

# Where the title stands by itself: not the GPL-2 in LGPL-2.1, not what is linked already.
function whole_word(s, t, from, at, before_it, behind)
{
    from = 1
    while ((at = index(substr(s, from), t)) > 0) {
        at += from - 1
        before_it = at > 1 ? substr(s, at - 1, 1) : " "
        behind = substr(s, at + length(t), 2)
        if (before_it !~ /[A-Za-z0-9\/\200-\377\\-]/ && behind !~ /^([A-Za-z0-9\200-\377-]|\.[0-9])/) {
            return at
        }
        from = at + 1
    }
    return 0
}

function see_also(e, j, k, out)
{
    for (j = 1; j <= n_related[e] && k < 8; j++) {
        if (related[e, j] in title) {
            k++
            n_links++
            out = out "- [" title[related[e, j]] "](" related[e, j] ".md), together in " shared[e, j] " documents\n"
        }
    }
    return k ? "\n## See also\n\n" out : ""
}

function linked_from(e, j, out)
{
    for (j = 1; j <= n_back[e] && j <= 12; j++) {
        out = out (j > 1 ? ", " : "") "[" title[back[e, j]] "](" back[e, j] ".md)"
    }
    return out != "" ? "\n## Mentioned on\n\n" out "\n" : ""
}

# Documents are written [name] in the text; here is where they lead.
function definitions(s, name, seen, out)
{
    while (match(s, /\[[A-Za-z0-9][A-Za-z0-9.+\/_-]*\]/)) {
        name = substr(s, RSTART + 1, RLENGTH - 2)
        if (substr(s, RSTART + RLENGTH, 1) != "(" && !(name in seen)) {
            seen[name] = 1
            out = out "[" name "]: documents.md#" anchor(name) "\n"
        }
        s = substr(s, RSTART + RLENGTH)
    }
    return "\n" out
}

function anchor(s)
{
    gsub(/[^A-Za-z0-9.-]/, "-", s)
    return s
}
