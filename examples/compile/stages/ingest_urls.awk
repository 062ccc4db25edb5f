# Drops what is there twice, chooses at most `max` documents, writes the list as JSON.
BEGIN {
    while ((getline line <(tmp ".digests")) > 0) {
        digest[substr(line, 67)] = substr(line, 1, 64)
    }
    while ((getline line <(tmp ".sizes")) > 0) {
        size[substr(line, index(line, "\t") + 1)] = line + 0
    }
    while ((getline line <(tmp ".skipped")) > 0) {
        split(line, part, "\t")
        skip(part[1], part[2])
    }
    while ((getline path <(tmp ".usable")) > 0) {
        getline real <(tmp ".real")
        usable[++n_usable] = path
        real_of[path] = real
        if (path == real) {
            own_name[real] = 1
        }
    }
    for (i = 1; i <= n_usable; i++) {
        path = usable[i]
        real = real_of[path]
        if (real in seen) {
            skip(path, "leads to the same file as " seen[real])
        } else if (path != real && (real in own_name)) {
            # The file is listed under its own name, not under that of a link to it.
            skip(path, "leads to the same file as " real)
        } else if (!(real in digest)) {
            skip(path, "could not be read")
        } else if (digest[real] in seen) {
            # Packages built from one source carry one text each: reading it again would
            # count every term as often as there are packages.
            skip(path, "same content as " seen[digest[real]])
        } else {
            seen[real] = path
            seen[digest[real]] = path
            if (index(path, licences "/") == 1) {
                always[++n_always] = path
            } else {
                rest[++n_rest] = path
            }
        }
    }
    if (n_always > max) {
        n_always = max
    }
    for (i = 1; i <= n_always; i++) {
        add(always[i], "common-licenses/" last(always[i]))
    }
    # The rest is taken evenly over the alphabet, else the glossary would end at "g".
    room = max - n_always
    take = n_rest < room ? n_rest : room
    for (i = 0; i < take; i++) {
        chosen = int(i * n_rest / take) + 1
        picked[chosen] = 1
        path = rest[chosen]
        sub(/\/[^\/]*$/, "", path)
        add(rest[chosen], last(path))
    }
    print "{\"sources\":[" sources "],"
    print "\"skipped\":[" skipped "],"
    print "\"documents\":{\"found\":" n_always + n_rest + n_skipped ",\"chosen\":" n_always + take \
        ",\"over_max_documents\":" n_rest - take ",\"skipped\":" n_skipped + 0 "}}"
}

function skip(path, reason)
{
    n_skipped++
    skipped = skipped (skipped ? ",\n" : "") "{\"path\":" quote(clean(path)) ",\"reason\":" quote(clean(reason)) "}"
}

function add(path, key)
{
    sources = sources (sources ? ",\n" : "") "{\"key\":" quote(clean(key)) ",\"url\":" quote(url(path)) ",\"path\":" quote(clean(path)) \
        ",\"bytes\":" size[real_of[path]] ",\"sha256\":\"" digest[real_of[path]] "\"}"
}

# A file name may be any bytes, JSON may not.
function clean(s)
{
    gsub(/[\200-\377]/, "?", s)
    return s
}

function last(path)
{
    sub(/.*\//, "", path)
    return path
}

function url(path, i, c, out)
{
    for (i = 1; i <= length(path); i++) {
        c = substr(path, i, 1)
        out = out (c ~ /[A-Za-z0-9\/._~+-]/ ? c : sprintf("%%%02X", code(c)))
    }
    return "file://" out
}

function code(c, i)
{
    if (!(65 in byte)) {
        for (i = 1; i < 256; i++) {
            byte[i] = 1
            code_of[sprintf("%c", i)] = i
        }
    }
    return code_of[c]
}
