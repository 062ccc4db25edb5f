$1 == "committed" && $3 == "title" { title[$2] = plain($4); order[++n] = $2 }
$1 == "committed" && $3 == "kind" { kind[$2] = $4 }
$1 == "committed" && $3 == "note" { note[$2] = plain($4) }
$1 == "committed" && $3 == "documents" { documents[$2] = $4 }
$1 == "entities" && $3 == "mentions" && $5 == 1 { mentions[$6] = mentions[$6] (mentions[$6] ? " " : "") $2 }
$1 == "sources" && $3 == "key" { source[$2] = $4; n_sources = $2 }
$1 == "sources" && $3 == "url" { url[$2] = $4 }
$1 == "sources" && $3 == "bytes" { bytes[$2] = $4 }
$1 == "skipped" && $3 == "reason" {
    reason = plain($4)
    sub(/ (as )?\/.*/, "", reason) # which other file it is the same as is in the state
    if (!(reason in skipped)) {
        reasons[++n_reasons] = reason
    }
    skipped[reason]++
}
$1 == "documents" && $2 == "over_max_documents" { over = $3 }
$1 == "promotion" && $2 == "entities" { entities = $3 }
$1 == "promotion" && $2 == "threshold" { threshold = $3 }

END {
    heading["licence"] = "Licences"
    heading["phrase"] = "Clauses and notions"
    heading["term"] = "Defined terms"
    heading["holder"] = "Copyright holders"
    by_weight(order, documents, n)
    index_page(output "/index.md")
    documents_page(output "/documents.md")
    json(output "/glossary.json", output "/schema.json")
    print "{\"index\":{\"pages\":" n ",\"licences\":" total["licence"] + 0 ",\"clauses\":" total["phrase"] + 0 \
        ",\"terms\":" total["term"] + 0 ",\"holders\":" total["holder"] + 0 ",\"file\":" quote(output "/index.md") "}}"
}

function index_page(file, k, i, e, kinds)
{
    print "# What licences and copyright files say\n" >file
    print n " pages from " n_sources " documents of this system: every licence, clause, term and holder out of " \
        entities " that at least " threshold " documents mention. [All documents](documents.md).\n" >file
    split("licence phrase term holder", kinds, " ")
    for (k = 1; k <= 4; k++) {
        for (i = 1; i <= n; i++) {
            e = order[i]
            if (kind[e] != kinds[k]) {
                continue
            }
            if (++total[kinds[k]] == 1) {
                print "## " heading[kinds[k]] "\n\n| | documents | |\n|---|---:|---|" >file
            }
            print "| [" title[e] "](" e ".md) | " documents[e] " | " note[e] " |" >file
        }
        if (total[kinds[k]]) {
            print "" >file
        }
    }
    finish(file)
}

function documents_page(file, i, j, k, page, name, list)
{
    print "# Documents\n\nWhat was read, and the pages each document has a part in. [Index](index.md).\n" >file
    for (i = 1; i <= n_sources; i++) {
        name = source[i]
        list = ""
        k = split(mentions[name], page, " ")
        for (j = 1; j <= k; j++) {
            if (page[j] in title) {
                list = list (list ? ", " : "") "[" title[page[j]] "](" page[j] ".md)"
            }
        }
        gsub(/[^A-Za-z0-9.-]/, "-", name)
        print "<a id=\"" name "\"></a>\n### " source[i] "\n\n<" url[i] "> (" bytes[i] " bytes)\n" >file
        print (list ? list : "No page mentions it.") "\n" >file
    }
    print "## Not read\n" >file
    for (i = 1; i <= n_reasons; i++) {
        print "- " skipped[reasons[i]] ": " reasons[i] >file
    }
    if (over > 0) {
        print "- " over ": beyond max_documents" >file
    }
    finish(file)
}

function json(file, schema, i, e)
{
    printf "[" >file
    for (i = 1; i <= n; i++) {
        e = order[i]
        print (i > 1 ? "," : "") "{\"key\":" quote(e) ",\"title\":" quote(title[e]) ",\"kind\":\"" kind[e] \
            "\",\"note\":" quote(note[e]) ",\"documents\":" documents[e] ",\"page\":" quote(e ".md") "}" >file
    }
    print "]" >file
    finish(file)
    print "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"array\",\"items\":{" \
        "\"type\":\"object\",\"required\":[\"key\",\"title\",\"kind\",\"documents\",\"page\"],\"properties\":{\n" \
        "\"key\":{\"type\":\"string\",\"description\":\"name of the page and of the entity\"},\n" \
        "\"title\":{\"type\":\"string\"},\n" \
        "\"kind\":{\"enum\":[\"licence\",\"phrase\",\"term\",\"holder\"]},\n" \
        "\"note\":{\"type\":\"string\",\"description\":\"what it is, where that is known\"},\n" \
        "\"documents\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"how many documents mention it\"},\n" \
        "\"page\":{\"type\":\"string\",\"description\":\"file beside this one\"}}}}" >schema
    finish(schema)
}

function finish(file)
{
    if (close(file) != 0) {
        print "could not write " file >"/dev/stderr"
        exit 4
    }
}
