/* Where the store is, and opening it. */
#include "tools/ratoon/text.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_NAME ".ratoon"

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The nearest .ratoon in this folder or one above it; NULL: none. */
static char *nearest(void)
{
    char *folder = getcwd(NULL, 0);
    if (folder == NULL) {
        return NULL;
    }
    for (;;) {
        char *path = text_format("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, STORE_NAME);
        if (is_folder(path)) {
            free(folder);
            return path;
        }
        free(path);
        char *slash = strrchr(folder, '/');
        if (slash == NULL || strcmp(folder, "/") == 0) {
            free(folder);
            return NULL;
        }
        slash[slash == folder ? 1 : 0] = '\0';
    }
}

void app_locate_store(app *a)
{
    if (a->store_path != NULL) {
        return;
    }
    const char *from_environment = getenv("RATOON_STORE");
    if (a->store_option != NULL) {
        a->store_path = text_copy(a->store_option);
    } else if (from_environment != NULL && *from_environment != '\0') {
        a->store_path = text_copy(from_environment);
    } else {
        a->store_path = nearest();
        if (a->store_path == NULL) {
            a->store_path = text_copy(STORE_NAME);
        }
    }
}

static ratoon_store_options options_of(const app *a)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.wait_ms = a->wait_ms;
    return options;
}

static int not_found(const app *a, ratoon_error *error)
{
    snprintf(error->hint, sizeof error->hint,
             "`ratoon run FILE` creates one; --store DIR or RATOON_STORE name another");
    return app_fail(a, error);
}

int app_open_store(app *a)
{
    app_locate_store(a);
    const ratoon_store_options options = options_of(a);
    ratoon_error error = {0};
    const ratoon_status status = ratoon_store_open(a->store_path, &options, &a->store, &error);
    error.code = status;
    if (status == RATOON_ERR_NOT_FOUND) {
        return not_found(a, &error);
    }
    if (status == RATOON_ERR_DAMAGED && a->store != NULL) {
        a->damaged = true;
        a->damage = text_copy(error.message);
        app_warn(a, "the store is damaged and can only be read: %s", error.message);
        if (error.hint[0] != '\0') {
            fputs("hint: ", stderr);
            text_put_string(stderr, error.hint);
            fputc('\n', stderr);
        }
        return -1;
    }
    return status == RATOON_OK ? -1 : app_fail(a, &error);
}

int app_open_store_for_change(app *a)
{
    app_locate_store(a);
    const ratoon_store_options options = options_of(a);
    ratoon_error error = {0};
    const ratoon_status status = ratoon_store_open(a->store_path, &options, &a->store, &error);
    error.code = status;
    if (status == RATOON_ERR_NOT_FOUND) {
        return not_found(a, &error);
    }
    return status == RATOON_OK ? -1 : app_fail(a, &error);
}

static bool is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return false;
    }
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(folder)) != NULL;) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(folder);
    return empty;
}

/* Makes the folders above a path. */
static bool make_parents(const char *path)
{
    char *copy = text_copy(path);
    bool made = true;
    for (char *slash = strchr(copy + 1, '/'); made && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        made = mkdir(copy, 0777) == 0 || errno == EEXIST;
        *slash = '/';
    }
    free(copy);
    return made;
}

int app_open_or_create_store(app *a)
{
    app_locate_store(a);
    size_t length = strlen(a->store_path);
    while (length > 1 && a->store_path[length - 1] == '/') {
        a->store_path[--length] = '\0';
    }
    struct stat st;
    /* A folder made beforehand (mktemp -d) may become the store; anything else there may not. */
    if (is_empty_folder(a->store_path)) {
        (void)rmdir(a->store_path);
    }
    if (lstat(a->store_path, &st) != 0 && errno == ENOENT) {
        ratoon_error error = {0};
        const ratoon_store_options options = options_of(a);
        if (!make_parents(a->store_path)) {
            return app_error(a, RATOON_ERR_IO, NULL, "can't make the folder of %s: %s",
                             a->store_path, strerror(errno));
        }
        const ratoon_status status = ratoon_store_create(a->store_path, &options, &error);
        error.code = status;
        if (status == RATOON_OK) {
            app_note(a, "created the store %s", a->store_path);
        } else if (status != RATOON_ERR_EXISTS) { /* another process may have been faster */
            return app_fail(a, &error);
        }
    }
    return app_open_store_for_change(a);
}

void app_close_store(app *a)
{
    if (a->store != NULL) {
        ratoon_store_close(a->store);
        a->store = NULL;
    }
}

int app_find_run(const app *a, const char *spec, ratoon_id *out)
{
    ratoon_error error = {0};
    const ratoon_status status = ratoon_run_find(a->store, spec, out, &error);
    error.code = status;
    if (status == RATOON_OK) {
        return -1;
    }
    if (status == RATOON_ERR_NOT_FOUND && error.hint[0] == '\0') {
        snprintf(error.hint, sizeof error.hint, "`ratoon list` shows the runs of %s",
                 a->store_path);
    }
    return app_fail(a, &error);
}
