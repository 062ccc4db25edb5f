/* Captured output that was left behind: an import brings commits, not files. A mark in the run's
 * folder, STORE/output/RUN/%imported, holds the number of the last commit that came from elsewhere,
 * so that verification doesn't miss what never was here. No stage's folder can have that name. */
#include "replay/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MARK "%imported"

static bool mark_path(const char *store, ratoon_id run, const char *name, char out[PATH_MAX])
{
    char id[RATOON_ID_TEXT];
    ratoon_id_format(run, id);
    const int n = snprintf(out, PATH_MAX, "%s/output/%s%s", store, id, name);
    return store[0] != '\0' && n > 0 && n < PATH_MAX;
}

bool ratoon__capture_elsewhere(const char *store, ratoon_id run, uint64_t commit)
{
    char path[PATH_MAX];
    uint64_t last = 0;
    FILE *file = mark_path(store, run, "/" MARK, path) ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return false;
    }
    char line[32] = "";
    char *end = line;
    if (fgets(line, sizeof line, file) != NULL) {
        last = strtoull(line, &end, 10);
    }
    fclose(file);
    return end != line && commit <= last;
}

void ratoon__capture_mark_elsewhere(const char *store, ratoon_id run, uint64_t commit)
{
    char folder[PATH_MAX], path[PATH_MAX];
    if (!mark_path(store, run, "", folder) || !mark_path(store, run, "/" MARK, path)) {
        return;
    }
    char *slash = folder;
    while (*slash != '\0') { /* "output", then the run's folder in it */
        slash++;
    }
    while (slash > folder && *slash != '/') {
        slash--;
    }
    *slash = '\0';
    (void)mkdir(folder, 0700);
    *slash = '/';
    (void)mkdir(folder, 0700);
    /* One that can't be written costs a remark by `verify`, nothing else. */
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        fprintf(file, "%" PRIu64 "\n", commit);
        fclose(file);
    }
}
