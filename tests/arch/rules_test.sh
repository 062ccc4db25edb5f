#!/bin/sh
# Every rule has a test that carries its number, and docs/rules.md says where. Needs SRC.
set -eu
cd "${SRC:?is not set: the folder with the sources}"
exec /usr/bin/python3 -B scripts/rules-table --check
