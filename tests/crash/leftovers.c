/* What killed processes leave behind must not grow with their number. */
#include "tests/crash/crash.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BESIDE_MAX = 4,
    IN_STORE_MAX = 24,
    IN_FOLDER_MAX = 12,
    NOTES_MAX = 4000, /* all of lineages that exist, or the checker would have said so */
    UNFINISHED_MAX = 6,
    IN_DATABASE_MAX = 24
};

/* Entries of a folder whose name has `part` in it. */
static size_t count(const char *path, const char *part, const char *except)
{
    DIR *folder = opendir(path);
    size_t found = 0;
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        found += name[0] != '.' && strstr(name, part) != NULL &&
                 (except == NULL || strstr(name, except) == NULL);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return found;
}

bool crash_leftovers(const char *folder, const char *store, char *why, size_t size)
{
    static const struct {
        const char *name;
        size_t max;
    } places[] = {{".", IN_STORE_MAX},
                  {"executors", IN_FOLDER_MAX},
                  {"deleting", NOTES_MAX},
                  {"locks", IN_FOLDER_MAX},
                  {"opening", IN_FOLDER_MAX},
                  {"output", 0},
                  {"work", 0}};
    const size_t used = strlen(why);
    const size_t beside = count(folder, ".creating-", NULL);
    if (beside > BESIDE_MAX) {
        snprintf(why + used, size - used, " %zu folders are left by who was creating", beside);
        return false;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *path = support_path_join(store, places[i].name);
        const size_t found = count(path, "", NULL);
        free(path);
        if (found > places[i].max) {
            snprintf(why + used, size - used, " %zu files in %s of the store", found,
                     places[i].name);
            return false;
        }
    }
    char *notes = support_path_join(store, "deleting");
    const size_t unfinished = count(notes, ".new", NULL);
    free(notes);
    if (unfinished > UNFINISHED_MAX) {
        snprintf(why + used, size - used, " %zu unfinished notes of deletions", unfinished);
        return false;
    }
    char *path = support_path_join(store, "db");
    const size_t found = count(path, "", ".sst") - count(path, ".blob", NULL);
    free(path);
    if (found > IN_DATABASE_MAX) {
        snprintf(why + used, size - used, " %zu files in db beside tables", found);
        return false;
    }
    return true;
}
