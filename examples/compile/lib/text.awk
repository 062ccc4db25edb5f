# What several stages need: writing JSON, counting characters, names for files and keys.

# A JSON string. The text is UTF-8 already; control characters become spaces but for newline.
function quote(s)
{
    gsub(/[\\"]/, "\\\\&", s) # the one way to write a backslash that every awk agrees on
    if (index(s, "\n")) {
        s = swap(s, "\n", "\\n")
    }
    gsub(/[\001-\037\177]/, " ", s)
    return "\"" s "\""
}

# A value as flatten.awk prints it, back to plain text.
function plain(s)
{
    if (index(s, "\\") == 0) {
        return s
    }
    gsub(/\\\\/, "\001", s)
    gsub(/\\n/, "\n", s)
    gsub(/\\[tbrf]/, " ", s)
    return swap(s, "\001", "\\")
}

# gsub() without its special characters in the replacement.
function swap(s, mark, by, at, out)
{
    while ((at = index(s, mark)) > 0) {
        out = out substr(s, 1, at - 1) by
        s = substr(s, at + length(mark))
    }
    return out s
}

# Characters, where length() counts bytes: all but the continuation bytes of UTF-8.
function chars(s)
{
    gsub(/[\200-\277]/, "", s)
    return length(s)
}

# Accents are dropped for comparing and for file names: é and e name the same person.
function fold(s)
{
    if (s ~ /[\300-\337][\200-\277]/) {
        gsub(/\303[\200-\205\240-\245]/, "a", s)
        gsub(/\303[\206\246]/, "ae", s)
        gsub(/(\303[\207\247]|\304[\206\207\214\215])/, "c", s)
        gsub(/(\303[\210-\213\250-\253]|\304[\222-\233])/, "e", s)
        gsub(/(\303[\214-\217\254-\257]|\304[\250-\261])/, "i", s)
        gsub(/(\303[\221\261]|\305[\203-\210])/, "n", s)
        gsub(/(\303[\222-\226\230\262-\266\270]|\305[\214-\221])/, "o", s)
        gsub(/(\303[\231-\234\271-\274]|\305[\250-\263])/, "u", s)
        gsub(/\303[\235\275\277]/, "y", s)
        gsub(/\305[\224-\231]/, "r", s)
        gsub(/\304[\216-\221]/, "d", s)
        gsub(/\304[\234-\243]/, "g", s)
        gsub(/\305[\242-\247]/, "t", s)
        gsub(/\303\237/, "ss", s)
        gsub(/\305[\201\202]/, "l", s)
        gsub(/(\305[\222\223])/, "oe", s)
        gsub(/\305[\232-\241]/, "s", s)
        gsub(/\305[\271-\276]/, "z", s)
    }
    return tolower(s)
}

function slug(s)
{
    s = fold(s)
    gsub(/[^a-z0-9.]+/, "-", s)
    gsub(/^[-.]+|[-.]+$/, "", s)
    return s
}

# Heapsort of keys[1..n] by weight, the heavier first, then by name: awk has no sort.
function by_weight(keys, weight, n, i, t)
{
    for (i = int(n / 2); i >= 1; i--) {
        sift(keys, weight, i, n)
    }
    for (i = n; i > 1; i--) {
        t = keys[1]
        keys[1] = keys[i]
        keys[i] = t
        sift(keys, weight, 1, i - 1)
    }
}

function sift(keys, weight, i, n, c, t)
{
    while ((c = 2 * i) <= n) {
        if (c < n && before(keys[c], keys[c + 1], weight)) {
            c++
        }
        if (!before(keys[i], keys[c], weight)) {
            return
        }
        t = keys[i]
        keys[i] = keys[c]
        keys[c] = t
        i = c
    }
}

function before(a, b, weight)
{
    return weight[a] != weight[b] ? weight[a] > weight[b] : a < b
}
