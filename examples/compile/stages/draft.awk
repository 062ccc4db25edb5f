$1 == "title" { title = plain($2) }
$1 == "kind" { kind = $2 }
$1 == "note" { note = plain($2) }
$1 == "documents" { documents = $2 }
$1 == "of" { all_documents = $2 }
$1 == "occurrences" { occurrences = $2 }
$1 == "threshold" { threshold = $2 }
$1 == "key" { key = $2 }
$1 == "names" { name[++n_names] = plain($3) }
$1 == "mentions" {
    m = $2
    if ($3 == 1) { document[m] = $4; n = m }
    if ($3 == 2) { times[m] = $4 }
    if ($3 == 3) { passage[m] = $4 }
    if ($3 == 4) { as[m] = plain($4) }
    if ($3 == 5) { text[m] = plain($4) }
}
$1 == "related" { related = related ($3 == 1 ? (related ? "," : "") "[" quote($4) : "," $4 "]") }

END {
    quotes_max = 6
    telling = 60
    defines = "[*][*]\"[ ]*(shall mean|means|refers to|is defined)"
    documents_max = 30
    window = 300 # characters of a passage around the term
    label["licence"] = "Licence"
    label["phrase"] = "Clause or notion"
    label["term"] = "Defined term"
    label["holder"] = "Copyright holder"

    body = "*" label[kind] " · in " documents " of " all_documents " documents, " \
        (occurrences == 1 ? "once" : occurrences " times") "*\n"
    if (note != "") {
        body = body "\n" mark(note) "\n"
    }
    for (i = 1; i <= n_names; i++) {
        if (name[i] != title) {
            others = others (others ? ", " : "") mark(name[i])
        }
    }
    if (others != "") {
        body = body "\nAlso written: " others "\n"
    }
    vocabulary()
    body = body quotes()
    body = body "\n## Documents\n\n"
    for (i = 1; i <= n && i <= documents_max; i++) {
        body = body (i > 1 ? ", " : "") "[" document[i] "]" (times[i] > 1 ? " (" times[i] ")" : "")
    }
    body = body (n > documents_max ? ", and " n - documents_max " more" : "") "\n"

    if (chars(body) < min_chars) {
        print "draft of '" title "' has " chars(body) " characters, min_draft_chars asks for " min_chars \
            ": only " documents " document" (documents == 1 ? " mentions" : "s mention") " it (entity_promotion_threshold is " threshold ")" >"/dev/stderr"
        exit 3
    }
    print "{\"drafts\":{\"title\":" quote(title) ",\"kind\":\"" kind "\",\"note\":" quote(note) \
        ",\"documents\":" documents ",\"characters\":" chars(body) ",\"related\":[" related "],\n\"text\":" \
        quote("# " mark(title) "\n\n" body) "}}"
}

# The words by which a passage may name this entity.
function vocabulary(line, col)
{
    while ((getline line <"vocabulary.tsv") > 0) {
        if (index(line, title "\t") == 1) {
            split(line, col, "\t")
            n_phrases = split(col[4] "|" col[3], phrase, "|")
        }
    }
}

# Up to six passages, each different; documents that say the same are named with it. Those that
# define the term come first, those that say nothing ("License: GPL-2+") last.
function quotes(i, s, same, j, rank, out)
{
    for (i = 1; i <= n && (i in text); i++) {
        s = cut(read_passage(text[i], passage[i]), as[i])
        same = tolower(s)
        gsub(/[^a-z]/, "", same)
        if (same in quoted) {
            j = quoted[same]
            also[j] = also[j] (also[j] ? ", " : "") "[" document[i] "]"
        } else if (s != "") {
            quoted[same] = ++n_quoted
            words[n_quoted] = s
            from[n_quoted] = "[" document[i] "], line " line_of
        }
    }
    for (rank = 1; rank <= 3; rank++) {
        for (j = 1; j <= n_quoted; j++) {
            if (rank == (words[j] ~ defines ? 1 : length(words[j]) >= telling ? 2 : 3)) {
                out = out quotation(j)
            }
        }
    }
    return n_quoted ? "\n## In the documents' words\n" out : ""
}

function quotation(j)
{
    if (note == "" && words[j] ~ defines) {
        note = definition(words[j])
    }
    return ++n_shown > quotes_max ? "" : "\n> " words[j] "\n\n— " from[j] \
        (also[j] ? "; the same words in " also[j] : "") "\n"
}

# For the index: what the first document that defines the term says it is.
function definition(s)
{
    sub(/.*\*\*"[ ]*/, "", s)
    if (length(s) > 120) {
        s = substr(s, 1, 120)
        sub(/[ ,;(]*[ ][^ ]*$/, "…", s)
    }
    gsub(/\|/, "/", s)
    return "\"" title "\" " s
}

function read_passage(file, number, line, i)
{
    for (i = 1; i <= number; i++) {
        if ((getline line <file) <= 0) {
            print "passage " number " is missing in " file >"/dev/stderr"
            exit 4
        }
    }
    close(file)
    line_of = line + 0
    return substr(line, index(line, "\t") + 1)
}

# The passage around the term, cut at spaces, the term in bold.
function cut(s, term, at, size, start, left, right, i)
{
    at = index(s, "\"" term "\"")
    at = at ? at + 1 : find(s, term)
    size = length(term)
    for (i = 1; at == 0 && i <= n_names; i++) {
        at = find(s, name[i])
        size = length(name[i])
    }
    for (i = 1; at == 0 && i <= n_phrases; i++) {
        at = phrase[i] == "" ? 0 : find(s, phrase[i])
        size = length(phrase[i])
    }
    if (at == 0) {
        at = 1
        size = 0
    }
    left = substr(s, 1, at - 1)
    right = substr(s, at + size)
    if (length(s) > window) {
        start = int(window / 3)
        if (length(left) > start) {
            left = substr(left, length(left) - start)
            sub(/^[^ ]*/, "…", left)
        }
        start = window - length(left) - size
        if (length(right) > start) {
            right = substr(right, 1, start)
            sub(/[^ ]*$/, "…", right)
        }
    }
    return mark(left) (size ? "**" mark(substr(s, at, size)) "**" : "") mark(right)
}

function find(s, term)
{
    return index(tolower(s), tolower(term))
}

# Markdown's own signs, taken literally.
function mark(s)
{
    gsub(/[][\\`*_<>]/, "\\\\&", s)
    return s
}
