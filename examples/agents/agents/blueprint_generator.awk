$1 == "plan" && $2 == "title" { title = $3 }
$1 == "plan" && $2 == "levels" && $4 == "key" { key[$3] = $5; levels = $3 }
$1 == "plan" && $2 == "levels" && $4 == "theme" { theme[$3] = $5 }
$1 == "plan" && $2 == "levels" && $4 == "verb" { verb[$3] = $5 }
$1 == "lore" && $2 == "text" { lore = plain($3) }
$1 == "sections" && $3 == "theme" { kept_theme[$2] = $4 }
$1 == "sections" && $3 == "text" { kept[$2] = plain($4) }
$1 == "sections" && $3 == "words" { kept_words[$2] = $4 }

END {
    for (i = 1; i <= levels; i++) {
        if ((key[i] in kept) && kept_theme[key[i]] == theme[i]) {
            text = kept[key[i]]
            cost = 0
        } else {
            text = write_section(i)
            cost = words(text)
        }
        if (cost > budget) {
            printf "token budget exhausted after %d of %d levels: %s takes %d, %d are left\n", \
                i - 1, levels, key[i], cost, budget >"/dev/stderr"
            exit 3
        }
        budget -= cost
        if (cost) {
            printf "%s\ttokens\t%d\n", who, cost >>counts
        }
        sections = sections (i > 1 ? "," : "") quote(key[i]) ":{\"theme\":" quote(theme[i]) \
            ",\"words\":" words(text) ",\"text\":" quote(text) "}"
        printf "{\"output\":{\"sections\":{%s}}}\n", sections >>events
        printf "{\"progress\":{\"done\":%d,\"total\":%d,\"message\":\"%s\"}}\n", i, levels, key[i] >>events
        fflush(events)
    }
    print "{\"blueprint\":{\"title\":" quote(title) ",\"lore\":" (lore == "" ? "null" : quote(lore)) \
        ",\"sections\":{" sections "}}}"
}

function write_section(i, j, text, n)
{
    n = effort == "low" ? 1 : detail
    for (j = 1; j <= n; j++) {
        text = text (j > 1 ? " " : "") "In step " j " the players " verb[i] " the " theme[i] "."
    }
    return text
}

function words(text, unused)
{
    return split(text, unused, " ")
}
