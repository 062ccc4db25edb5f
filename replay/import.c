/* Import: reads lines, has them checked, and appends when all of them were good. */
#include "replay/import.h"

#include "log/codec.h"

#include <stdlib.h>
#include <string.h>

#define READ_PIECE (256u << 10)
#define GROUP_COMMITS_MAX 1024
#define GROUP_BYTES_MAX (16u << 20)
#define GROUP_LINEAGE_MAX (128u << 20) /* a lineage goes in whole up to this */

/* ---- lines that an export wrote ---- */

static ratoon_status check_schema(ratoon__import *im, const json_t *line)
{
    const json_t *schema = json_object_get(line, "schema");
    if (schema != NULL && json_integer_value(schema) != RATOON__SCHEMA) {
        return ratoon__import_fail(im, RATOON_ERR_UNSUPPORTED,
                                   "the line is not of schema %u, which this version reads",
                                   (uint32_t)RATOON__SCHEMA);
    }
    return RATOON_OK;
}

/* Bytes of a base64 member; *out is malloc'ed. */
static ratoon_status bytes_of(ratoon__import *im, const json_t *object, void **out, size_t *size)
{
    const json_t *data = json_object_get(object, "data");
    if (!json_is_string(data)) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE, "the line has no \"data\"");
    }
    if (!ratoon__base64_decode(json_string_value(data), json_string_length(data), out, size)) {
        return *size == SIZE_MAX
                   ? ratoon__import_no_memory(im)
                   : ratoon__import_fail(im, RATOON_ERR_DAMAGED, "its \"data\" is not base64");
    }
    return RATOON_OK;
}

static ratoon_status check_digest(ratoon__import *im, const json_t *object, const ratoon_digest *is)
{
    const json_t *digest = json_object_get(object, "digest");
    char hex[65];
    ratoon__digest_format(is, hex);
    if (!json_is_string(digest) || strcmp(json_string_value(digest), hex) != 0) {
        return ratoon__import_fail(im, RATOON_ERR_DAMAGED,
                                   "its bytes have the digest %s; the line says %s", hex,
                                   json_is_string(digest) ? json_string_value(digest) : "nothing");
    }
    return RATOON_OK;
}

static ratoon_status value_line(ratoon__import *im, const json_t *value)
{
    void *data = NULL;
    size_t size = 0;
    ratoon_digest digest;
    ratoon_status status = bytes_of(im, value, &data, &size);
    if (status != RATOON_OK) {
        return status;
    }
    if (size > ratoon__store_value_max(im->store)) {
        status = ratoon__import_fail(im, RATOON_ERR_LIMIT_EXCEEDED,
                                     "a value has %U bytes; the limit of a value is %U",
                                     (uint64_t)size, ratoon__store_value_max(im->store));
    } else {
        status = ratoon__sha256(data, size, &digest);
    }
    if (status == RATOON_OK) {
        status = check_digest(im, value, &digest);
    }
    if (status == RATOON_OK) {
        status = ratoon__import_value_add(im, &digest, data, size);
    }
    free(data);
    return status;
}

/* What the line says beside the bytes must be what the bytes say; the events are for people. */
static ratoon_status check_label(ratoon__import *im, const json_t *line, const void *data,
                                 size_t size)
{
    ratoon__commit head;
    ratoon_error why = {0};
    char text[RATOON_ID_TEXT];
    const json_t *lineage = json_object_get(line, "lineage");
    const json_t *number = json_object_get(line, "commit");
    const ratoon_status status = ratoon__commit_peek(data, size, &head, &why);
    if (status != RATOON_OK) {
        return ratoon__import_fail(im, status, "the commit can't be read: %s", why.message);
    }
    ratoon_id_format(head.lineage, text);
    if (!json_is_string(lineage) || strcmp(json_string_value(lineage), text) != 0 ||
        !json_is_integer(number) || (uint64_t)json_integer_value(number) != head.number) {
        return ratoon__import_fail(im, RATOON_ERR_DAMAGED,
                                   "its bytes are commit %U of lineage %s; the line says otherwise",
                                   head.number, text);
    }
    return RATOON_OK;
}

static ratoon_status commit_line(ratoon__import *im, const json_t *line)
{
    void *data = NULL;
    size_t size = 0;
    ratoon_digest digest;
    ratoon_status status = bytes_of(im, line, &data, &size);
    if (status != RATOON_OK) {
        return status;
    }
    if (json_object_get(line, "digest") != NULL) {
        status = ratoon__sha256(data, size, &digest);
        status = status == RATOON_OK ? check_digest(im, line, &digest) : status;
    }
    if (status == RATOON_OK) {
        status = check_label(im, line, data, size);
    }
    if (status == RATOON_OK) {
        status = ratoon__import_commit_bytes(im, data, size);
    }
    free(data);
    return status;
}

static ratoon_status import_line(ratoon__import *im, const char *text, size_t size)
{
    json_error_t why;
    im->line++;
    if (strspn(text, " \t\r") == size) {
        return RATOON_OK;
    }
    json_t *line = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(line)) {
        json_decref(line);
        return ratoon__import_fail(im, RATOON_ERR_USAGE, "this is no JSON object: %s",
                                   line == NULL ? why.text : "something else stands there");
    }
    ratoon_status status = check_schema(im, line);
    if (status == RATOON_OK && json_object_get(line, "value") != NULL) {
        status = value_line(im, json_object_get(line, "value"));
    } else if (status == RATOON_OK && json_object_get(line, "lineage") != NULL) {
        status = commit_line(im, line);
    } else if (status == RATOON_OK) {
        status = ratoon__import_plain_line(im, line);
    }
    json_decref(line);
    return status;
}

/* ---- reading ---- */

static ratoon_status import_pieces(ratoon__import *im, ratoon_read_fn read, void *ctx,
                                   ratoon__buf *pending)
{
    char *piece = malloc(READ_PIECE);
    ratoon_status status = piece == NULL ? ratoon__import_no_memory(im) : RATOON_OK;
    while (status == RATOON_OK) {
        const int64_t got = read(ctx, piece, READ_PIECE);
        if (got < 0 || got > (int64_t)READ_PIECE) {
            status = ratoon__fail(im->error, RATOON_ERR_IO, "the input can't be read");
        }
        if (got <= 0) {
            break;
        }
        const char *at = piece;
        const char *const end = piece + got;
        while (status == RATOON_OK && at < end) {
            const char *feed = memchr(at, '\n', (size_t)(end - at));
            ratoon__buf_add(pending, at, (size_t)((feed != NULL ? feed : end) - at));
            if (pending->failed) {
                status = ratoon__import_no_memory(im);
            } else if (pending->size > RATOON__IMPORT_LINE_MAX) {
                im->line++;
                status = ratoon__import_fail(im, RATOON_ERR_LIMIT_EXCEEDED,
                                             "the line has more than %u bytes",
                                             (uint32_t)RATOON__IMPORT_LINE_MAX);
            } else if (feed != NULL) {
                status = import_line(im, pending->size > 0 ? pending->data : "", pending->size);
                pending->size = 0;
            }
            at = feed != NULL ? feed + 1 : end;
        }
    }
    free(piece);
    return status;
}

static ratoon_status import_lines(ratoon__import *im, ratoon_read_fn read, void *ctx)
{
    ratoon__buf pending = {0};
    ratoon_status status = import_pieces(im, read, ctx, &pending);
    if (status == RATOON_OK && pending.size > 0) {
        status = import_line(im, pending.data, pending.size);
    }
    ratoon__buf_free(&pending);
    if (status == RATOON_OK) {
        status = ratoon__import_lineage_end(im);
    }
    return status == RATOON_OK ? ratoon__import_plain_end(im) : status;
}

/* ---- appending ---- */

typedef struct group {
    ratoon__import *im;
    ratoon__arena arena; /* of the decoded commits, and their values' bytes in `loaded` */
    ratoon__foreign_commit *items;
    ratoon__commit *commits;
    size_t count, capacity, bytes, values;
    void **loaded;
    size_t loaded_count, loaded_capacity;
    ratoon__lineage *lineage; /* folded so far */
    size_t lineage_bytes;
    ratoon_id *executors; /* of runs that nobody executes any more */
    size_t executors_count;
} group;

static void group_clear(group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        ratoon__lineage_unref((ratoon__lineage *)(uintptr_t)g->items[i].after);
        ratoon__commit_release(&g->commits[i]);
    }
    for (size_t i = 0; i < g->loaded_count; i++) {
        free(g->loaded[i]);
    }
    ratoon__arena_free(&g->arena);
    g->count = 0;
    g->loaded_count = 0;
    g->bytes = 0;
    g->values = 0;
}

static ratoon_status group_flush(group *g)
{
    ratoon_imported *result = &g->im->result;
    const ratoon_status status =
        ratoon__store_append_foreign(g->im->store, g->items, g->count, g->im->error);
    for (size_t i = 0; status == RATOON_OK && i < g->count; i++) {
        result->commits++;
        result->values += g->items[i].values_count;
        result->lineages += g->items[i].after != NULL ? 1 : 0;
    }
    group_clear(g);
    return status;
}

static bool group_reserve(group *g)
{
    if (g->count == g->capacity) {
        const size_t capacity = g->capacity == 0 ? 64 : g->capacity * 2;
        ratoon__foreign_commit *items = realloc(g->items, capacity * sizeof *items);
        g->items = items != NULL ? items : g->items;
        ratoon__commit *commits = realloc(g->commits, capacity * sizeof *commits);
        g->commits = commits != NULL ? commits : g->commits;
        if (items == NULL || commits == NULL) {
            return false;
        }
        for (size_t i = 0; i < g->count; i++) {
            items[i].commit = &commits[i];
        }
        g->capacity = capacity;
    }
    return true;
}

/* Bytes put aside, kept until the group is appended. */
static ratoon_status group_load(group *g, uint64_t offset, uint64_t size, void **out)
{
    if (g->loaded_count == g->loaded_capacity) {
        const size_t capacity = g->loaded_capacity == 0 ? 64 : g->loaded_capacity * 2;
        void **larger = realloc(g->loaded, capacity * sizeof *larger);
        if (larger == NULL) {
            return ratoon__import_no_memory(g->im);
        }
        g->loaded = larger;
        g->loaded_capacity = capacity;
    }
    const ratoon_status status = ratoon__spool_get(g->im, offset, size, out);
    if (status == RATOON_OK) {
        g->loaded[g->loaded_count++] = *out;
        g->bytes += (size_t)size;
    }
    return status;
}

typedef struct gathering {
    group *g;
    ratoon__stored_value *values; /* in the arena */
    size_t count, capacity;
    ratoon_status status;
} gathering;

static void gather(void *ctx, const ratoon_digest *digest, uint64_t size)
{
    gathering *c = ctx;
    ratoon__import_value *v = ratoon__import_value_find(c->g->im, digest);
    void *data = NULL;
    (void)size;
    if (c->status != RATOON_OK || v == NULL || v->appended) {
        return;
    }
    if (c->count == c->capacity) {
        const size_t capacity = c->capacity == 0 ? 8 : c->capacity * 2;
        ratoon__stored_value *larger = ratoon__arena_alloc(&c->g->arena, capacity * sizeof *larger);
        if (larger == NULL) {
            c->status = ratoon__import_no_memory(c->g->im);
            return;
        }
        if (c->count > 0) {
            memcpy(larger, c->values, c->count * sizeof *larger);
        }
        c->values = larger;
        c->capacity = capacity;
    }
    c->status = group_load(c->g, v->offset, v->size, &data);
    if (c->status == RATOON_OK) {
        c->values[c->count++] =
            (ratoon__stored_value){.digest = *digest, .data = data, .size = (size_t)v->size};
        v->appended = true;
    }
}

/* Executors of runs that are active in what was imported; each once. */
static ratoon_status note_executors(group *g, const ratoon__lineage *l)
{
    for (uint32_t i = 0; i < l->runs_count; i++) {
        const ratoon__run *r = l->runs[i];
        bool known = r->status != RATOON_RUN_RUNNING && r->status != RATOON_RUN_CANCELLING;
        for (size_t k = g->executors_count; !known && k-- > 0;) {
            known = ratoon_id_equal(g->executors[k], r->executor);
        }
        if (known) {
            continue;
        }
        ratoon_id *larger = realloc(g->executors, (g->executors_count + 1) * sizeof *larger);
        if (larger == NULL) {
            return ratoon__import_no_memory(g->im);
        }
        g->executors = larger;
        g->executors[g->executors_count++] = r->executor;
    }
    return RATOON_OK;
}

/* The projection that the first commit to be appended of a lineage follows. */
static ratoon_status lineage_begin(group *g, const ratoon__import_commit *c)
{
    ratoon_status status = RATOON_OK;
    ratoon__import *im = g->im;
    g->lineage_bytes = 0;
    if (c->number == 1) {
        g->lineage = ratoon__lineage_new(c->lineage);
        return g->lineage == NULL ? ratoon__import_no_memory(im) : RATOON_OK;
    }
    status = ratoon__store_lineage(im->store, c->lineage, &g->lineage, im->error);
    if (status == RATOON_OK && g->lineage->head != c->number - 1) {
        status = ratoon__fail(im->error, RATOON_ERR_CONFLICT,
                              "lineage %I changed while it was being imported", &c->lineage);
        ratoon__hint(im->error, "import again: what is there already is skipped");
    }
    return status;
}

static ratoon_status group_add(group *g, const ratoon__import_commit *c)
{
    ratoon__import *im = g->im;
    void *data = NULL;
    ratoon_digest digest;
    ratoon__lineage *next = NULL;
    gathering values = {.g = g};
    im->line = c->line;
    if (!group_reserve(g)) {
        return ratoon__import_no_memory(im);
    }
    ratoon__commit *commit = &g->commits[g->count];
    ratoon_status status = g->lineage == NULL ? lineage_begin(g, c) : RATOON_OK;
    if (status == RATOON_OK) {
        status = group_load(g, c->offset, c->size, &data);
    }
    if (status == RATOON_OK) {
        status = ratoon__commit_decode(data, (size_t)c->size, &g->arena, commit, im->error);
    }
    if (status == RATOON_OK) {
        status = ratoon__import_resolve(im, commit);
    }
    if (status != RATOON_OK) {
        return status;
    }
    g->items[g->count++] =
        (ratoon__foreign_commit){.commit = commit, .data = data, .size = (size_t)c->size};
    status = ratoon__sha256(data, (size_t)c->size, &digest);
    if (status == RATOON_OK) {
        status = ratoon__fold(g->lineage, commit, &digest, &next, im->error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__lineage_unref(g->lineage);
    g->lineage = next;
    g->lineage_bytes += (size_t)c->size;
    ratoon__commit_stored(commit, gather, &values);
    ratoon__foreign_commit *item = &g->items[g->count - 1];
    item->values = values.values;
    item->values_count = values.count;
    if (values.status == RATOON_OK && c->last) {
        values.status = note_executors(g, g->lineage);
        item->after = g->lineage;
        item->lineage_size = g->lineage_bytes;
        g->lineage = NULL;
    }
    return values.status;
}

/* A lineage goes in with one batch unless it is very large, so that a crash leaves all or none of
 * it: a part would be taken for interrupted runs, and could not be continued by another import. */
static ratoon_status import_append(ratoon__import *im)
{
    group g = {.im = im};
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; status == RATOON_OK && i < im->commits_count; i++) {
        const bool last = im->commits[i].last;
        status = group_add(&g, &im->commits[i]);
        const bool full = g.count >= GROUP_COMMITS_MAX || g.bytes >= GROUP_BYTES_MAX;
        if (status == RATOON_OK && ((last && full) || g.bytes >= GROUP_LINEAGE_MAX)) {
            status = group_flush(&g);
        }
    }
    if (status == RATOON_OK && g.count > 0) {
        status = group_flush(&g);
    }
    for (size_t i = 0; status == RATOON_OK && i < g.executors_count; i++) {
        status = ratoon__store_recover(im->store, g.executors[i], im->error);
    }
    group_clear(&g);
    ratoon__lineage_unref(g.lineage);
    free(g.items);
    free(g.commits);
    free(g.loaded);
    free(g.executors);
    return status;
}

ratoon_status ratoon_import(ratoon_store *store, const ratoon_import_options *options,
                            ratoon_read_fn read, void *ctx, ratoon_imported *out,
                            ratoon_error *error)
{
    ratoon_import_options defaults = RATOON_IMPORT_OPTIONS_INIT;
    const ratoon_import_options *o = options != NULL ? options : &defaults;
    if (o->struct_size != sizeof *o || read == NULL) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "an import needs a function that reads, and options set by "
                            "RATOON_IMPORT_OPTIONS_INIT");
    }
    ratoon__import im = {.store = store, .pipeline = o->pipeline, .error = error};
    ratoon_status status = import_lines(&im, read, ctx);
    if (status == RATOON_OK) {
        status = import_append(&im);
    }
    if (status == RATOON_OK) {
        *out = im.result;
    }
    ratoon__import_free(&im);
    return status;
}
