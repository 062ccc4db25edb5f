/* Copies of a store that is in use. The database is copied by whoever owns it, at one moment; files
 * are copied here: once before, so that what is deleted meanwhile is there, and once behind, for
 * what came meanwhile. */
#include "log/folder.h"
#include "log/points.h"
#include "log/store_impl.h"
#include "log/witness.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_output(const char *name)
{
    return strcmp(name, "output") == 0;
}

bool ratoon__backup_wants(const char *name)
{
    static const char accepted[] = "damage-accepted-";
    return is_output(name) || strcmp(name, "secret.key") == 0 || strcmp(name, "deleting") == 0 ||
           strncmp(name, accepted, sizeof accepted - 1) == 0;
}

static ratoon_status fill(void *ctx, const char *folder, ratoon_error *error)
{
    ratoon_store *s = ctx;
    char *db = ratoon__path_join(folder, "db");
    uint64_t position = 0;
    if (db == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status = ratoon__tree_copy(s->path, folder, is_output, error);
    ratoon__at(RATOON__POINT_BACKUP_COPIED);
    if (status == RATOON_OK) {
        status = s->driver->ops->checkpoint(s->driver, db, &position, error);
    }
    ratoon__at(RATOON__POINT_BACKUP_DATABASE);
    if (status == RATOON_OK) {
        status = ratoon__witness_replace(folder, position, error);
    }
    ratoon__at(RATOON__POINT_BACKUP_WITNESS);
    if (status == RATOON_OK) {
        status = ratoon__tree_copy(s->path, folder, ratoon__backup_wants, error);
    }
    free(db);
    return status;
}

char *ratoon__path_absolute(const char *path)
{
    if (path[0] == '/') {
        return strdup(path);
    }
    char *here = getcwd(NULL, 0);
    char *absolute = here != NULL ? ratoon__path_join(here, path) : NULL;
    free(here);
    return absolute;
}

ratoon_status ratoon_store_backup(ratoon_store *store, const char *path, ratoon_error *error)
{
    if (path == NULL || path[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a backup needs a path");
    }
    if (store->path[0] == '\0' || store->driver->ops->checkpoint == NULL) {
        return ratoon__fail(error, RATOON_ERR_UNSUPPORTED, "a store in memory has no backups");
    }
    char *absolute = ratoon__path_absolute(path); /* the owner may be in another folder */
    if (absolute == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    const ratoon_status status = ratoon__folder_create(absolute, fill, store, error);
    free(absolute);
    return status;
}
