/* Import: reads lines, has them checked, and appends when all of them were good. */
#include "replay/import.h"

#include "log/codec.h"

#include <stdlib.h>
#include <string.h>

#define READ_PIECE (256u << 10)

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
        if (status != RATOON_OK || got == 0) {
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
        status = ratoon__import_append(&im);
    }
    if (status == RATOON_OK && out != NULL) {
        *out = im.result;
    }
    ratoon__import_free(&im);
    return status;
}
