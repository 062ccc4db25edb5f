/* Where insertions of commits into memory begin, and whether a log may be read back that way. */
#include "log/rocksdb_impl.h"

#include "log/folder.h"

#include <rocksdb/c.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HINT_OPTION "memtable_insert_with_hint_prefix_extractor="
#define HINT_VALUE "rocksdb.FixedPrefix."
#define NOTE_PREFIX "OPTIONS-"

/* Commits of a lineage are put one after the other: RocksDB remembers the place of its last one in
 * memory, and need not look for it where many lineages take turns. It also does so for the
 * beginnings of erased ranges, in the same list of places although they live elsewhere, which ends
 * in a failed assertion: so only whole keys may have that prefix, one byte longer than an id (the
 * first of a number, always 0), and ranges begin with a bare id (rocksdb_erase.c). The C interface
 * knows this option by its name only; a RocksDB that doesn't know it does without. */
rocksdb_options_t *ratoon__rocks_hinted(rocksdb_options_t *o)
{
    char text[96];
    char *message = NULL;
    snprintf(text, sizeof text, HINT_OPTION HINT_VALUE "%zu", sizeof(ratoon_id) + 1);
    rocksdb_options_t *hinted = rocksdb_options_create();
    rocksdb_get_options_from_string(o, text, hinted, &message);
    rocksdb_options_destroy(message == NULL ? o : hinted);
    hinted = message == NULL ? hinted : o;
    rocksdb_free(message);
    return hinted;
}

/* The number of the newest file that RocksDB has noted its options in, one at each opening. */
static bool newest_note(const char *db, unsigned long long *number)
{
    bool found = false;
    DIR *folder = opendir(db);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char *end = NULL;
        if (strncmp(entry->d_name, NOTE_PREFIX, strlen(NOTE_PREFIX)) != 0) {
            continue;
        }
        const unsigned long long n = strtoull(entry->d_name + strlen(NOTE_PREFIX), &end, 10);
        if (*end == '\0' && (!found || n > *number)) {
            *number = n;
            found = true;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return found;
}

bool ratoon__rocks_hinted_before(const char *db)
{
    unsigned long long number = 0;
    char name[48];
    if (!newest_note(db, &number)) {
        return false;
    }
    snprintf(name, sizeof name, "OPTIONS-%06llu", number);
    char *path = ratoon__path_join(db, name);
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    free(path);
    char line[1024];
    bool hinted = false;
    while (file != NULL && !hinted && fgets(line, sizeof line, file) != NULL) {
        hinted = strstr(line, HINT_OPTION HINT_VALUE) != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return hinted;
}
