/* Reaches ratoon_import() and everything below it: lines, base64, values, ratoon__commit_decode(),
 * the fold, plain runs, and ratoon_export() of what was accepted. */
#include <ratoon.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static int64_t read_input(void *ctx, void *data, size_t size)
{
    input *in = ctx;
    const size_t take = in->left < size ? in->left : size;
    if (take > 0) {
        memcpy(data, in->at, take);
    }
    in->at += take;
    in->left -= take;
    return (int64_t)take;
}

static bool count_output(void *ctx, const void *data, size_t size)
{
    *(size_t *)ctx += size;
    return data != NULL || size == 0;
}

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static ratoon_status import(ratoon_store *store, const uint8_t *data, size_t size,
                            ratoon_imported *out)
{
    input in = {data, size};
    ratoon_error error = {0};
    const ratoon_status status = ratoon_import(store, NULL, read_input, &in, out, &error);
    must(status == RATOON_OK || error.message[0] != '\0');
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    ratoon_error error = {0};
    ratoon_imported result = {0};
    uint64_t end = 0;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, &error) == RATOON_OK);
    const ratoon_status status = import(store, data, size, &result);
    must(ratoon_feed_end(store, &end, &error) == RATOON_OK);
    if (status != RATOON_OK) {
        must(end == 1); /* nothing was appended */
    } else {
        for (int format = RATOON_EXPORT_JSONL; format <= RATOON_EXPORT_HTML; format++) {
            size_t written = 0;
            must(ratoon_export(store, NULL, 0, (ratoon_export_format)format, count_output, &written,
                               &error) == RATOON_OK);
        }
    }
    ratoon_store_close(store);
    return 0;
}
