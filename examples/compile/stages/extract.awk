# Text of one document in; its passages into the file `passages` (line number TAB text), its
# terms as JSON out. Three sources of terms:
#   licences   from "License:" fields (machine-readable copyright files) and known phrases
#   holders    from copyright lines, cleaned of years and addresses
#   terms      words that the document puts in quotation marks, as legal texts define theirs
BEGIN {
    while ((getline line <"vocabulary.tsv") > 0) {
        if (line !~ /^#/) {
            n = split(line, col, "\t")
            k = split(col[4], phrase, "|")
            for (i = 1; i <= k; i++) {
                known[++n_known] = phrase[i]
                known_title[n_known] = col[1]
                known_kind[n_known] = col[2]
            }
        }
    }
    max_holders = 120 # a kernel's copyright file names thousands; what is left out is counted
    max_terms = 60
    printf "" >passages
}

NR == 1 {
    sub(/^\357\273\277/, "") # byte order mark
}

{
    gsub(/[\001-\011\013-\037\177]/, " ")
    gsub(/\302\240/, " ")      # no-break space
    gsub(/\342\200\234|\342\200\235|&quot;/, "\"") # typographic quotation marks
    gsub(/``|''/, "\"")
    gsub(/\342\200\230|\342\200\231/, "'")
    all = all "\n" tolower($0)
}

# A passage ends at an empty line ("." in a field), a rule, a new field, a list item.
/^[ #*\/|;-]*\.?[ *\/=_~+-]*$/ {
    end_passage()
    if ($0 !~ /\./) {
        field = ""
        files = ""
    }
    next
}

/^[A-Z][A-Za-z-]+:/ {
    end_passage()
    field = $1
    sub(/:.*/, "", field)
    if (field == "Files") {
        files = $0
        sub(/^Files:[ ]*/, "", files)
    } else if (field == "License") {
        # The name alone on its line; what follows is the text.
        licence_field($0)
    }
}

/^[ ]*([*o-]|[0-9]+[.)]|\([a-z0-9]\))[ ]/ {
    if (passage == "" || field != "Files") {
        end_passage()
    }
}

{
    if (field == "Copyright" && /^[ ]|^Copyright:/) {
        end_passage()
        holder($0, files)
        next
    }
    if (/^[^ ]/ && !/^[A-Z][A-Za-z-]+:/) {
        field = ""
    }
    if (/[Cc]opyright|COPYRIGHT|\302\251|\([cC]\)/ && /(19|20)[0-9][0-9]/) {
        end_passage()
        holder($0, "")
        next
    }
    if (passage == "") {
        first_line = NR
    }
    s = $0
    gsub(/^[ #*\/|;]+|[ ]+$/, "", s)
    if (s != "") {
        passage = passage (passage == "" ? "" : " ") s
    }
}

END {
    end_passage()
    find_phrases()
    close(passages)
    printf "{\"extractions\":{\"encoding\":\"%s\",\"lines\":%d,\"passages\":%d,\"left_out\":%d,\"terms\":[", \
        encoding, NR, n_passages, left_out
    for (i = 1; i <= n_found; i++) {
        key = found[i]
        split(key, part, SUBSEP)
        # kind, term, occurrences, the passage that shows it, and the e-mail address that tells holders apart
        print (i > 1 ? "," : "") "[\"" part[1] "\"," quote(part[2]) "," count[key] "," best[key] \
            (key in mail ? "," quote(mail[key]) : "") "]"
    }
    print "]},\n\"texts\":{\"file\":" quote(file) "}}"
}

function add_passage(line, s)
{
    gsub(/[ ]+/, " ", s)
    n_passages++
    at_line[n_passages] = line
    body[n_passages] = s
    print line "\t" s >passages
    return n_passages
}

function end_passage()
{
    if (passage != "") {
        quoted_terms(add_passage(first_line, passage))
        passage = ""
    }
}

# A term counts as often as it occurs; the passage with the higher worth shows it.
function mention(kind, term, times, at, worth, key)
{
    key = kind SUBSEP term
    if (!(key in count)) {
        if ((kind == "holder" && n_of[kind] >= max_holders) || (kind == "term" && n_of[kind] >= max_terms)) {
            left_out++
            return
        }
        n_of[kind]++
        found[++n_found] = key
        best_worth[key] = -1
    }
    count[key] += times
    if (worth > best_worth[key]) {
        best[key] = at
        best_worth[key] = worth
    }
}

# "License: GPL-2+ or Artistic" names two licences; a sentence in that place names none.
function licence_field(s, n, i, name)
{
    sub(/^License:[ ]*/, "", s)
    sub(/[ ]+$/, "", s)
    if (s == "" || length(s) > 70 || split(s, name, / /) > 8) {
        return
    }
    gsub(/[()]/, "", s)
    n = split(s, name, /[ _]+(and\/or|or|and|AND|OR)[ _]+|,[ ]*(and|or)?[ ]*|[ ]*\|[ ]*/)
    for (i = 1; i <= n; i++) {
        sub(/[ _]+(with|WITH)[ _].*/, "", name[i])
        gsub(/^[ ]+|[ .]+$/, "", name[i])
        if (name[i] ~ /^[A-Za-z][A-Za-z0-9.+\/_ -]+$/ && length(name[i]) <= 40) {
            # The field itself becomes part of the passage now being read.
            mention("licence", name[i], 1, n_passages + 1, 0)
        }
    }
}

function holder(s, where, name, address, years, at, quoted)
{
    name = s
    gsub(/^[ #*\/|;%"-]+/, "", name)
    sub(/^Copyright:/, "", name)
    if (match(name, /[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+\.[A-Za-z]+/)) {
        address = tolower(substr(name, RSTART, RLENGTH))
    }
    gsub(/<[^>]*>|\([^)]*[@.][^)]*\)|\[[^]]*\]/, " ", name)
    gsub(/[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+/, " ", name)
    gsub(/https?:[^ ]*|www\.[^ ]*/, " ", name)
    quoted = name
    gsub(/\([cC]\)|\302\251|&copy;|\\\(co/, " ", name)
    sub(/^.*[Cc]opyright(ed)?[ ,:]+([Bb]y[ ]+)?|^.*COPYRIGHT[ ,:]+/, "", name)
    sub(/[ ,.;]*[Aa]ll [Rr]ights.*/, "", name)
    if (match(name, /^[ ]*[0-9][0-9, -]*(\342\200\223[ ]*[0-9]+)*[0-9, -]*(present|now)?[ ,:]*/)) {
        name = substr(name, RSTART + RLENGTH)
    }
    sub(/[, ]+(19|20)[0-9][0-9].*$/, "", name)
    sub(/^(and|by|and by|the|The|held by|BY)[ ]+/, "", name)
    sub(/[ ,]+(and|et|&)[ ]+(others|al\.?|contributors|co\.?)[. ]*$/, "", name)
    sub(/[ ]*\(.*$/, "", name)
    sub(/[ ]+(-|--|under|unless|and is|is|are)[ ].*$/, "", name)
    gsub(/^[^A-Za-z\300-\377]+|[ ,;:*\/"'<>|-]+$/, "", name)
    if (name !~ /[ .](Inc|Ltd|Corp|Co|Jr|Sr|[A-Za-z]\.[A-Za-z])\.$/) {
        sub(/[ .]+$/, "", name)
        sub(/[ ](Inc|Ltd|Corp)$/, "&.", name)
    }
    if (name == "Free Software") {
        name = "Free Software Foundation" # the line ends there in many a notice
    }
    gsub(/[ ]+/, " ", name)
    gsub(/[ ]+/, " ", quoted)
    gsub(/^[ #*\/|;]+|[ ,;*\/]+$/, "", quoted)
    if (sub(/^Copyright:[ ]*/, "", quoted) || where != "") {
        quoted = "Copyright: " quoted
    }
    if (where != "") {
        quoted = quoted " (files: " where ")"
    }
    at = add_passage(NR, quoted)
    if (name !~ /^[A-Z\300-\377]/ || length(name) < 4 || length(name) > 60 ||
        name ~ /[Cc]opyright|[Nn]otice|[Ll]icen[sc]e|LICENSE|COPYRIGHT|[Ff]ile|[Hh]older|[Pp]ermission|Public [Dd]omain|[Ss]oftware (is|and)|[{}=<>$@\\]/ ||
        name ~ /^(This|That|It|All|Some|See|Various|Unknown|None|Name|Your|You|Portions|Parts|From|Other|Others|Original|Modified|Changes|Based|Program|Program.*name|Year|Author|Authors|Contributors|Present|Foundation|January|February|March|April|May|June|July|August|September|October|November|December)([ ,]|$)/) {
        return
    }
    mention("holder", name, 1, at, length(quoted) < 160 ? 1 : 0)
    if (address != "" && !(("holder" SUBSEP name) in mail)) {
        mail["holder" SUBSEP name] = address
    }
}

# "Derivative Works", "Licensor", "Corresponding Source": quotation marks around one to four
# words that begin with a capital, or several words, are how these texts name a notion.
function quoted_terms(at, s, term, words, worth, unused)
{
    s = body[at]
    while (match(s, /"[A-Za-z][A-Za-z -]*[A-Za-z][,.]?"/)) {
        term = substr(s, RSTART + 1, RLENGTH - 2)
        s = substr(s, RSTART + RLENGTH)
        sub(/[,.]$/, "", term)
        sub(/^(the|The|a|A|an|this) /, "", term)
        words = split(term, unused, / /)
        if (length(term) < 4 || length(term) > 36 || words > 4 || (words == 1 && term !~ /^[A-Z]/)) {
            continue
        }
        # The passage that defines it is the best there is.
        worth = s ~ /^[ ]*(\([^)]*\) )?(shall mean|means|mean|refers? to|is defined|are defined|includes)/ ? 3 : 1
        mention("term", term, 1, at, worth)
    }
}

# Only phrases that the whole text contains are looked for passage by passage: a document has
# few of the known ones, but may have thousands of passages.
function find_phrases(i, p, s, at, times, before_it)
{
    gsub(/[ \n#*]+/, " ", all)
    for (i = 1; i <= n_known; i++) {
        if (index(all, known[i]) == 0) {
            continue
        }
        for (p = 1; p <= n_passages; p++) {
            if (!(p in lower)) {
                lower[p] = tolower(body[p])
            }
            s = lower[p]
            times = 0
            while ((at = index(s, known[i])) > 0) {
                before_it = at > 1 ? substr(s, at - 1, 1) : " "
                times += before_it !~ /[a-z]/ || known[i] !~ /^[a-z]/
                s = substr(s, at + length(known[i]))
            }
            if (times > 0) {
                mention(known_kind[i], known_title[i], times, p, length(body[p]) >= 60 ? 2 : 1)
            }
        }
    }
}
