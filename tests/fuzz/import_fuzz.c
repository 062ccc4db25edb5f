/* Reaches ratoon_import() and everything below it: lines, base64, values, ratoon__commit_decode(),
 * the fold, plain runs; of what was accepted ratoon_verify() and ratoon_export(), whose lines are
 * imported into a second store. */
#include "tests/fuzz/fuzz.h"

#include <ratoon.h>

static int64_t read_input(void *ctx, void *data, size_t size)
{
    const uint8_t *bytes = fuzz_bytes(ctx, &size);
    if (size > 0) {
        memcpy(data, bytes, size);
    }
    return (int64_t)size;
}

typedef struct text {
    char *data;
    size_t size;
    bool keep; /* else it is only counted */
} text;

static bool write_text(void *ctx, const void *data, size_t size)
{
    text *t = ctx;
    must(data != NULL || size == 0);
    if (t->keep && size > 0) {
        t->data = realloc(t->data, t->size + size);
        must(t->data != NULL);
        memcpy(t->data + t->size, data, size);
    }
    t->size += size;
    return true;
}

static ratoon_store *open_store(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, NULL) == RATOON_OK);
    return store;
}

static ratoon_status import(ratoon_store *store, const void *data, size_t size,
                            ratoon_imported *out)
{
    fuzz_input in = {data, size};
    ratoon_error error = {0};
    const ratoon_status status = ratoon_import(store, NULL, read_input, &in, out, &error);
    must(status == RATOON_OK || error.message[0] != '\0');
    return status;
}

static text export(ratoon_store *store, ratoon_export_format format, bool keep)
{
    text out = {.keep = keep};
    must(ratoon_export(store, NULL, 0, format, write_text, &out, NULL) == RATOON_OK);
    return out;
}

static void check_verify(ratoon_store *store)
{
    ratoon_buffer report = {0};
    size_t problems = 0;
    must(ratoon_verify(store, (ratoon_id){{0}}, &report, &problems, NULL) == RATOON_OK);
    if (problems != 0) {
        fprintf(stderr, "%s\n", report.data);
    }
    must(problems == 0);
    ratoon_buffer_free(&report);
}

/* What was imported is whole, and what is exported of it comes back the same. */
static void check_again(ratoon_store *store, uint64_t end)
{
    check_verify(store);
    for (int format = RATOON_EXPORT_OPENLINEAGE; format <= RATOON_EXPORT_HTML; format++) {
        (void)export(store, (ratoon_export_format)format, false);
    }
    text first = export(store, RATOON_EXPORT_JSONL, true);
    must(first.size > 0);
    ratoon_imported result = {0};
    ratoon_store *copy = open_store();
    must(import(copy, first.data, first.size, &result) == RATOON_OK && result.skipped == 0);
    text again = export(copy, RATOON_EXPORT_JSONL, true);
    must(first.size == again.size && memcmp(first.data, again.data, first.size) == 0);
    ratoon_store_close(copy);
    uint64_t still = 0;
    must(import(store, first.data, first.size, &result) == RATOON_OK && result.commits == 0);
    must(ratoon_feed_end(store, &still, NULL) == RATOON_OK && still == end);
    free(first.data);
    free(again.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ratoon_imported result = {0};
    uint64_t end = 0;
    ratoon_store *store = open_store();
    const ratoon_status status = import(store, data, size, &result);
    must(ratoon_feed_end(store, &end, NULL) == RATOON_OK);
    if (status != RATOON_OK) {
        must(end == 1); /* nothing was appended */
    } else if (end > 1) {
        check_again(store, end);
    }
    ratoon_store_close(store);
    return 0;
}
