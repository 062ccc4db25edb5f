$1 == "constraints" && $2 == "levels" { asked = $3 }
$1 == "constraints" && $2 == "forbidden" { forbidden[$4] = 1 }
$1 == "plan" && $2 == "levels" && $4 == "key" { levels++ }
$1 == "plan" && $2 == "levels" && $4 == "theme" && ($5 in forbidden) { bad = bad " " $5 }

END {
    if (bad) {
        print "forbidden in this game:" bad >"/dev/stderr"
        exit 3
    }
    if (asked && levels < asked) {
        printf "the plan has %d levels, %d were asked for\n", levels, asked >"/dev/stderr"
        exit 3
    }
}
