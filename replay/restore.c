/* A store from a backup: copied beside its place, opened and verified there, and only then renamed.
 */
#include "log/folder.h"
#include "log/points.h"
#include "replay/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool wanted(const char *name)
{
    return strcmp(name, "db") == 0 || strcmp(name, "witness") == 0 || strcmp(name, "format") == 0 ||
           strcmp(name, "damage") == 0 || ratoon__backup_wants(name);
}

static ratoon_status say_problem(const ratoon_buffer *report, size_t problems, const char *backup,
                                 ratoon_error *error)
{
    json_t *doc = json_loadb(report->data, report->size, 0, NULL);
    const json_t *first = json_array_get(json_object_get(doc, "problems"), 0);
    const char *message = json_string_value(json_object_get(first, "message"));
    (void)ratoon__fail(error, RATOON_ERR_DAMAGED,
                       "the backup %s does not verify, %U problems; the first: %s", backup,
                       (uint64_t)problems, message != NULL ? message : "unknown");
    ratoon__hint(error, "nothing was made; take another backup");
    json_decref(doc);
    return RATOON_ERR_DAMAGED;
}

/* Opening makes up for what was running when the backup was made. */
static ratoon_status verify(const char *folder, const char *backup, ratoon_error *error)
{
    ratoon_store *store = NULL;
    ratoon_buffer report = {0};
    size_t problems = 0;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.no_serve = true;
    ratoon_status status = ratoon_store_open(folder, &options, &store, error);
    if (status == RATOON_OK) {
        status = ratoon_verify(store, (ratoon_id){{0}}, &report, &problems, error);
    }
    if (store != NULL) {
        ratoon_store_close(store);
    }
    if (status == RATOON_OK && problems > 0) {
        status = say_problem(&report, problems, backup, error);
    }
    ratoon_buffer_free(&report);
    return status;
}

static ratoon_status fill(void *ctx, const char *folder, ratoon_error *error)
{
    const char *backup = ctx;
    ratoon_status status = ratoon__tree_copy(backup, folder, wanted, error);
    ratoon__at(RATOON__POINT_RESTORE_COPIED);
    if (status == RATOON_OK) {
        status = verify(folder, backup, error);
        ratoon__at(RATOON__POINT_RESTORE_VERIFIED);
    }
    return status;
}

ratoon_status ratoon_store_restore(const char *backup, const char *path, ratoon_error *error)
{
    if (backup == NULL || backup[0] == '\0' || path == NULL || path[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "restoring needs two paths");
    }
    ratoon_status status = ratoon__folder_check(backup, error);
    if (status != RATOON_OK) {
        return status;
    }
    int lock = -1;
    char *locks = ratoon__path_join(backup, "locks");
    char *absolute = ratoon__path_absolute(path);
    if (locks == NULL || absolute == NULL) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    } else if (access(locks, W_OK) == 0) { /* one that nobody can write to, nobody has open */
        status = ratoon__folder_lock(backup, &lock, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__folder_create(absolute, fill, (void *)(uintptr_t)backup, error);
    }
    if (lock >= 0) {
        close(lock);
    }
    free(locks);
    free(absolute);
    return status;
}
