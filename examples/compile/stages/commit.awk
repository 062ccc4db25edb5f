{ value[$1] = $2 }

END {
    if (!("text" in value)) {
        print "the page to commit has no text" >"/dev/stderr"
        exit 3
    }
    printf "%s", plain(value["text"]) >page
    if (close(page) != 0) {
        print "could not write " page >"/dev/stderr"
        exit 4
    }
    print "{\"committed\":{\"title\":" quote(plain(value["title"])) ",\"kind\":\"" value["kind"] "\",\"note\":" \
        quote(plain(value["note"])) ",\"documents\":" value["documents"] "},\"published\":{\"file\":" quote(file) "}}"
}
