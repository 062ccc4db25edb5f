# Valgrind (tests/valgrind/run): the command is all it needs.
