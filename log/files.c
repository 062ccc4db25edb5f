/* Files that values of the state stand for (S10). */
#include "log/store_impl.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_TYPE "application/vnd.ratoon.file+json"
#define FILES_TYPE "application/vnd.ratoon.files+json" /* an object: item -> file, or what else */

static ratoon_status file_digest(const char *path, char hex[65])
{
    ratoon_digest digest;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0) {
            close(fd);
        }
        return RATOON_ERR_IO;
    }
    ratoon__sha256_stream *stream = ratoon__sha256_begin();
    char block[65536];
    ssize_t got = -1;
    while (stream != NULL && (got = read(fd, block, sizeof block)) > 0) {
        ratoon__sha256_add(stream, block, (size_t)got);
    }
    close(fd);
    ratoon_status status = RATOON_ERR_NO_MEMORY;
    if (stream != NULL) {
        status = ratoon__sha256_end(stream, &digest);
    }
    if (status == RATOON_OK && got == 0) {
        ratoon__digest_format(&digest, hex);
        return RATOON_OK;
    }
    return status != RATOON_OK ? status : RATOON_ERR_IO;
}

/* What is wrong with the file a value stands for; NULL: nothing. */
static const char *file_problem(ratoon__arena *a, const char *key, const json_t *doc)
{
    const char *path = json_string_value(json_object_get(doc, "file"));
    const char *recorded = json_string_value(json_object_get(doc, "sha256"));
    json_int_t recorded_size = json_integer_value(json_object_get(doc, "size"));
    ratoon__buf text = {0};
    struct stat st;
    char hex[65];
    if (path == NULL) {
        ratoon__buf_format(&text, "%s: its record names no file", key);
    } else if (stat(path, &st) != 0) {
        ratoon__buf_format(&text, "%s: %s is missing", key, path);
    } else if ((json_int_t)st.st_size != recorded_size) {
        ratoon__buf_format(&text, "%s: %s has %U bytes and had %U", key, path, (uint64_t)st.st_size,
                           (uint64_t)recorded_size);
    } else if (file_digest(path, hex) != RATOON_OK) {
        ratoon__buf_format(&text, "%s: %s can't be read", key, path);
    } else if (recorded == NULL || strcmp(hex, recorded) != 0) {
        ratoon__buf_format(&text, "%s: %s has changed", key, path);
    }
    const char *problem = text.size > 0 ? ratoon__arena_strdup(a, text.data) : NULL;
    ratoon__buf_free(&text);
    return problem;
}

/* What is wrong with files that items gave: the first problem, and how many more there are. */
static const char *files_problem(ratoon__arena *a, const char *key, json_t *doc)
{
    const char *first = NULL;
    const char *item = NULL;
    json_t *value = NULL;
    size_t problems = 0;
    json_object_foreach(doc, item, value)
    {
        if (json_object_get(value, "file") == NULL || json_object_get(value, "sha256") == NULL) {
            continue;
        }
        const char *problem = file_problem(a, item, value);
        problems += problem != NULL;
        first = first == NULL ? problem : first;
    }
    if (first == NULL) {
        return NULL;
    }
    ratoon__buf text = {0};
    ratoon__buf_format(&text, "%s: %s", key, first);
    if (problems > 1) {
        ratoon__buf_format(&text, ", and %U more", (uint64_t)problems - 1);
    }
    first = ratoon__arena_strdup(a, text.data);
    ratoon__buf_free(&text);
    return first;
}

static bool is_files(const char *media_type)
{
    return strcmp(media_type, FILES_TYPE) == 0;
}

static bool is_file(const char *media_type)
{
    return strcmp(media_type, FILE_TYPE) == 0 || is_files(media_type);
}

static bool has_file(const ratoon__outputs *o)
{
    for (; o != NULL; o = o->below) {
        for (uint32_t i = 0; i < o->count; i++) {
            if (is_file(o->values[i]->media_type)) {
                return true;
            }
        }
    }
    return false;
}

/* What a branch has is its parent's initial state and edits, outputs of its parent's stages,
 * partial ones included (S03), and its own edits. */
bool ratoon__files_possible(const ratoon__run *parent, const ratoon__values *edits)
{
    const ratoon__edits *layers = parent->fixed->edits;
    bool found = has_file(parent->fixed->initial);
    for (uint32_t i = 0; layers != NULL && i < layers->count && !found; i++) {
        found = has_file(layers->layers[i]);
    }
    for (uint32_t i = 0; i < parent->stages_count && !found; i++) {
        const ratoon__stage *stage = ratoon__run_stage_at(parent, i);
        found = has_file(stage->outputs) || has_file(stage->partial);
    }
    for (size_t i = 0; i < edits->count && !found; i++) {
        found = is_file(edits->items[i].media_type);
    }
    return found;
}

ratoon_status ratoon__files_check(ratoon_store *s, ratoon__arena *a, const ratoon__state_view *v,
                                  const char *const **changed, size_t *count, ratoon_error *error)
{
    const char **found = ratoon__arena_alloc(a, v->count * sizeof *found);
    size_t n = 0;
    if (found == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < v->count; i++) {
        const ratoon__value *value = v->entries[i].value;
        const bool many = is_files(value->media_type);
        if (!is_file(value->media_type)) {
            continue;
        }
        ratoon_buffer bytes = {0};
        ratoon_status status = ratoon__store_value(s, value, &bytes, error);
        if (status != RATOON_OK) {
            return status;
        }
        json_t *doc = json_loadb(bytes.data, bytes.size, 0, NULL);
        const char *problem =
            many ? files_problem(a, value->key, doc) : file_problem(a, value->key, doc);
        json_decref(doc);
        ratoon_buffer_free(&bytes);
        if (problem != NULL) {
            found[n++] = problem;
        }
    }
    *changed = found;
    *count = n;
    return RATOON_OK;
}
