# JSON in, one line per scalar out:  key TAB key TAB … TAB value
# Array elements count from 1. Strings stay escaped as far as a line needs it: \n \t \r \b \f \\
# mean what they mean in JSON, every other escape is decoded (text.awk undoes the rest).
# `want` limits the output to some top-level keys.
#
# Why records end at a quotation mark: text outside and inside strings alternate then, so a
# file is read once from front to back, where cutting tokens off one long line is quadratic.
BEGIN {
    RS = "\""
    n = split(want, w, " ")
    for (i = 1; i <= n; i++) {
        wanted[w[i]] = 1
    }
    depth = 0
}

inside {
    piece = piece $0
    if (match($0, /\\+$/) && RLENGTH % 2) {
        piece = piece "\""
        next
    }
    inside = 0
    text = piece
    have = 1
    next
}

{
    outside($0)
    inside = 1
    piece = ""
}

END {
    if (depth != 0) {
        print "flatten: unexpected end of JSON in " FILENAME >"/dev/stderr"
        exit 1
    }
}

function outside(s, i, c, token)
{
    gsub(/[ \t\r\n]/, "", s)
    for (i = 1; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (c == "{" || c == "[") {
            depth++
            kind[depth] = c
            idx[depth] = 1
            name[depth] = (c == "[") ? 1 : ""
        } else if (c == "}" || c == "]") {
            value(token)
            token = ""
            depth--
        } else if (c == ":") {
            name[depth] = decode(text)
            have = 0
        } else if (c == ",") {
            value(token)
            token = ""
            if (kind[depth] == "[") {
                name[depth] = ++idx[depth]
            }
        } else {
            token = token c
        }
    }
    value(token)
}

function value(token, i, line)
{
    if (!have && token == "") {
        return
    }
    if (n && depth && !(name[1] in wanted)) {
        have = 0
        return
    }
    for (i = 1; i <= depth; i++) {
        line = line name[i] "\t"
    }
    print line (have ? decode(text) : token)
    have = 0
}

function decode(s, out, at, code, low)
{
    if (index(s, "\\") == 0) {
        return s
    }
    # A doubled backslash is set aside first: in \\u0041 the u is a letter.
    gsub(/\\\\/, "\001", s)
    gsub(/\\"/, "\"", s)
    gsub(/\\\//, "/", s)
    while ((at = index(s, "\\u")) > 0) {
        out = out substr(s, 1, at - 1)
        code = hex(substr(s, at + 2, 4))
        s = substr(s, at + 6)
        if (code >= 55296 && code <= 56319 && substr(s, 1, 2) == "\\u") {
            low = hex(substr(s, 3, 4))
            code = 65536 + (code - 55296) * 1024 + (low - 56320)
            s = substr(s, 7)
        }
        out = out utf8(code)
    }
    s = out s
    return swap(s, "\001", "\\\\")
}

function hex(s, i, n)
{
    s = tolower(s)
    for (i = 1; i <= length(s); i++) {
        n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
    }
    return n
}

function utf8(c)
{
    if (c == 92) {
        return "\001"
    }
    if (c == 9 || c == 10 || c == 13) {
        return "\\" substr("tn  r", c - 8, 1)
    }
    if (c < 32) {
        return " " # no stage has a use for other control characters
    }
    if (c < 128) {
        return sprintf("%c", c)
    }
    if (c < 2048) {
        return sprintf("%c%c", 192 + int(c / 64), 128 + c % 64)
    }
    if (c < 65536) {
        return sprintf("%c%c%c", 224 + int(c / 4096), 128 + int(c / 64) % 64, 128 + c % 64)
    }
    return sprintf("%c%c%c%c", 240 + int(c / 262144), 128 + int(c / 4096) % 64, 128 + int(c / 64) % 64, 128 + c % 64)
}
