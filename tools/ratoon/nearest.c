/* Suggestions for names that were mistyped. */
#include "tools/ratoon/command.h"

#include <string.h>

/* Optimal string alignment distance, cut off at 99. */
static unsigned distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    const size_t n = strlen(a), m = strlen(b);
    if (n >= LONGEST || m >= LONGEST) {
        return 99;
    }
    unsigned d[LONGEST + 1][LONGEST + 1];
    for (size_t i = 0; i <= n; i++) {
        d[i][0] = (unsigned)i;
    }
    for (size_t j = 0; j <= m; j++) {
        d[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best) {
                best = d[i - 2][j - 2] + 1;
            }
            d[i][j] = best;
        }
    }
    return d[n][m];
}

void name_consider(const char *typed, const char *name, const char **best, unsigned *best_distance)
{
    const size_t length = strlen(typed);
    unsigned d = distance(typed, name);
    if (length >= 3 && strncmp(typed, name, length) == 0) {
        d = 1;
    }
    if (d <= (length < 4 ? 1U : length < 8 ? 2U : 3U) && d < *best_distance) {
        *best = name;
        *best_distance = d;
    }
}

const char *command_nearest(const char *name)
{
    const char *best = NULL;
    unsigned best_distance = 99;
    for (const command *c = commands; c->name != NULL; c++) {
        if (!c->hidden) {
            name_consider(name, c->name, &best, &best_distance);
        }
    }
    return best;
}
