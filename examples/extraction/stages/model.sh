#!/bin/sh
# The program that does the work, made from its source.
. ./stages/common.sh

model=work/keyterms
tmp=$model.$$
trap 'rm -f "$tmp"' EXIT
${CC:-cc} -std=c11 -O2 -o "$tmp" stages/keyterms.c -lm
mv "$tmp" "$model"
printf 'model=%s\n' "$PWD/$model" >"$RATOON_OUTPUT"
