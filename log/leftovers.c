#include "log/leftovers.h"

#include "log/codec.h"
#include "log/digest.h"
#include "log/folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 128, DEPTH_MAX = 64 };

static const char folder_name[] = "deleting";

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

void ratoon__leftovers_free(ratoon__leftovers *l)
{
    ratoon__digests_free(&l->values);
    free(l->runs);
    *l = (ratoon__leftovers){0};
}

static bool run_add(ratoon__leftovers *l, ratoon_id run)
{
    if (l->runs_count == l->runs_capacity) {
        const size_t capacity = l->runs_capacity == 0 ? 16 : 2 * l->runs_capacity;
        ratoon_id *runs = realloc(l->runs, capacity * sizeof *runs);
        if (runs == NULL) {
            return false;
        }
        l->runs = runs;
        l->runs_capacity = capacity;
    }
    l->runs[l->runs_count++] = run;
    return true;
}

ratoon_status ratoon__leftovers_add(ratoon__leftovers *l, const ratoon__leftovers *more,
                                    ratoon_error *error)
{
    bool done = true;
    for (size_t i = 0; done && i < more->runs_count; i++) {
        done = run_add(l, more->runs[i]);
    }
    for (size_t i = 0; done && i < more->values.count; i++) {
        done = ratoon__digests_add(&l->values, &more->values.items[i]);
    }
    return done ? RATOON_OK : no_memory(error);
}

/* ---- collecting ---- */

typedef struct collecting {
    ratoon__leftovers *leftovers;
    ratoon_status status;
    ratoon_error *error;
} collecting;

static bool note_value(void *ctx, const ratoon_digest *digest)
{
    return ratoon__digests_add(ctx, digest);
}

static bool collect_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                           const void *data, size_t size)
{
    collecting *c = ctx;
    ratoon__arena arena = {0};
    ratoon__commit commit;
    (void)position;
    (void)lineage;
    c->leftovers->head = number;
    c->status = ratoon__commit_decode(data, size, &arena, &commit, c->error);
    if (c->status == RATOON_OK) {
        bool done = ratoon__commit_references(&commit, note_value, &c->leftovers->values);
        for (size_t i = 0; done && i < commit.events_count; i++) {
            done = commit.events[i].type != RATOON__EVENT_RUN_CREATED ||
                   run_add(c->leftovers, commit.events[i].run);
        }
        c->status = done ? RATOON_OK : no_memory(c->error);
    }
    ratoon__arena_free(&arena);
    return c->status == RATOON_OK;
}

ratoon_status ratoon__leftovers_collect(ratoon__leftovers *l, ratoon__driver *d, ratoon_id lineage,
                                        ratoon_error *error)
{
    collecting c = {.leftovers = l, .error = error};
    l->head = 0;
    ratoon_status status = d->ops->read(d, lineage, 1, true, false, collect_commit, &c, error);
    ratoon__digests_unique(&l->values);
    return status == RATOON_OK ? c.status : status;
}

/* ---- written down: lines "run ID" and "value DIGEST" ---- */

static char *note_path(const char *store_path, ratoon_id lineage)
{
    char *path = NULL;
    char id[RATOON_ID_TEXT];
    ratoon_id_format(lineage, id);
    return asprintf(&path, "%s/%s/%s", store_path, folder_name, id) < 0 ? NULL : path;
}

/* Several may be about to delete the same lineage: they write the same, one after the other. */
static ratoon_status write_locked(const char *folder, const char *path, const ratoon__buf *text,
                                  ratoon_error *error)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int locked = -1;
    while (fd >= 0 && (locked = flock(fd, LOCK_EX)) != 0 && errno == EINTR) {
    }
    ratoon_status status = locked != 0
                               ? ratoon__fail_errno(error, RATOON_ERR_IO, "can't lock", folder)
                               : ratoon__file_write(path, text->data, text->size, error);
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

ratoon_status ratoon__leftovers_note(const ratoon__leftovers *l, const char *store_path,
                                     ratoon_id lineage, ratoon_error *error)
{
    if (store_path[0] == '\0' || l->runs_count == 0) { /* it has just been deleted */
        return RATOON_OK;
    }
    ratoon__buf text = {0};
    for (size_t i = 0; i < l->runs_count; i++) {
        ratoon__buf_format(&text, "run %I\n", &l->runs[i]);
    }
    for (size_t i = 0; i < l->values.count; i++) {
        char hex[65];
        ratoon__digest_format(&l->values.items[i], hex);
        ratoon__buf_format(&text, "value %s\n", hex);
    }
    char *folder = ratoon__path_join(store_path, folder_name);
    char *path = note_path(store_path, lineage);
    ratoon_status status = RATOON_OK;
    if (text.failed || folder == NULL || path == NULL) {
        status = no_memory(error);
    } else if (mkdir(folder, S_IRWXU) != 0 && errno != EEXIST) {
        status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't make the folder", folder);
    } else {
        status = ratoon__parent_sync(folder, error);
        status = status == RATOON_OK ? write_locked(folder, path, &text, error) : status;
    }
    ratoon__buf_free(&text);
    free(folder);
    free(path);
    return status;
}

static bool digest_parse(const char *hex, ratoon_digest *out)
{
    for (size_t i = 0; i < sizeof out->bytes; i++) {
        char digits[3] = {0};
        char *end = digits;
        for (size_t k = 0; k < 2 && isxdigit((unsigned char)hex[2 * i + k]); k++) {
            digits[k] = hex[2 * i + k];
        }
        out->bytes[i] = (uint8_t)strtoul(digits, &end, 16);
        if (end != digits + 2) {
            return false;
        }
    }
    return true;
}

ratoon_status ratoon__leftovers_read(ratoon__leftovers *l, const char *store_path,
                                     ratoon_id lineage, ratoon_error *error)
{
    char *path = note_path(store_path, lineage);
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    ratoon_status status = path == NULL ? no_memory(error) : RATOON_OK;
    char line[LINE_MAX_SIZE];
    while (status == RATOON_OK && file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        ratoon_id run;
        ratoon_digest digest;
        /* What can't be read stays where it is: a line less is a value more. */
        if (strncmp(line, "run ", 4) == 0 && ratoon_id_parse(line + 4, &run) == RATOON_OK) {
            status = run_add(l, run) ? RATOON_OK : no_memory(error);
        } else if (strncmp(line, "value ", 6) == 0 && digest_parse(line + 6, &digest)) {
            status = ratoon__digests_add(&l->values, &digest) ? RATOON_OK : no_memory(error);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    free(path);
    return status;
}

void ratoon__leftovers_forget(const char *store_path, ratoon_id lineage)
{
    char *path = store_path[0] != '\0' ? note_path(store_path, lineage) : NULL;
    if (path != NULL) {
        (void)unlink(path);
    }
    free(path);
}

/* A note that was never finished: nobody writes one while the folder is locked. */
static void remove_unfinished(DIR *folder, const char *name)
{
    static const char suffix[] = ".new";
    const size_t size = strlen(name);
    if (size > sizeof suffix && strcmp(name + size - (sizeof suffix - 1), suffix) == 0 &&
        flock(dirfd(folder), LOCK_EX | LOCK_NB) == 0) {
        (void)unlinkat(dirfd(folder), name, 0);
        (void)flock(dirfd(folder), LOCK_UN);
    }
}

ratoon_status ratoon__leftovers_list(const char *store_path, ratoon_id **out, size_t *count,
                                     ratoon_error *error)
{
    *out = NULL;
    *count = 0;
    if (store_path[0] == '\0') {
        return RATOON_OK;
    }
    char *path = ratoon__path_join(store_path, folder_name);
    if (path == NULL) {
        return no_memory(error);
    }
    DIR *folder = opendir(path);
    free(path);
    ratoon__leftovers list = {0};
    ratoon_status status = RATOON_OK;
    const struct dirent *entry;
    while (status == RATOON_OK && folder != NULL && (entry = readdir(folder)) != NULL) {
        ratoon_id lineage;
        if (ratoon_id_parse(entry->d_name, &lineage) != RATOON_OK) {
            remove_unfinished(folder, entry->d_name);
        } else if (!run_add(&list, lineage)) {
            status = no_memory(error);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    if (status == RATOON_OK) {
        *out = list.runs;
        *count = list.runs_count;
    } else {
        free(list.runs);
    }
    return status;
}

/* ---- files ---- */

typedef struct removal {
    bool count_only;
    uint64_t files, bytes;
} removal;

static void remove_folder(removal *r, int parent, const char *name, unsigned depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 || depth > DEPTH_MAX ? NULL : fdopendir(fd);
    if (folder == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            remove_folder(r, fd, entry->d_name, depth + 1);
        } else if (r->count_only || unlinkat(fd, entry->d_name, 0) == 0) {
            r->files++;
            r->bytes += (uint64_t)st.st_size;
        }
    }
    closedir(folder);
    if (!r->count_only) {
        (void)unlinkat(parent, name, AT_REMOVEDIR);
    }
}

void ratoon__leftovers_files(const ratoon__leftovers *l, const char *store_path, bool count_only,
                             uint64_t *files, uint64_t *bytes)
{
    static const char *const places[] = {"output", "work"};
    removal r = {.count_only = count_only};
    for (size_t place = 0; store_path[0] != '\0' && place < sizeof places / sizeof places[0];
         place++) {
        char *path = ratoon__path_join(store_path, places[place]);
        int fd = path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        for (size_t i = 0; fd >= 0 && i < l->runs_count; i++) {
            char id[RATOON_ID_TEXT];
            ratoon_id_format(l->runs[i], id);
            remove_folder(&r, fd, id, 0);
        }
        if (fd >= 0) {
            close(fd);
        }
        free(path);
    }
    *files += r.files;
    *bytes += r.bytes;
}
