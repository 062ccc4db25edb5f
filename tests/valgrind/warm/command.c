/* The command's own main(), under another name. */
int ratoon_main(int argc, char **argv);
#define main ratoon_main
#include "tools/ratoon/main.c" /* NOLINT(bugprone-suspicious-include) */
