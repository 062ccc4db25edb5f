/* Bytes of derived rows and their index keys. A run row: root 16, created u64, executor 16,
 * status u8, subject and pipeline with their NULs. */
#include "log/rocksdb_impl.h"

#include <string.h>

enum { ROW_FIXED = 16 + 8 + 16 + 1 };

void ratoon__row_encode(const ratoon__run_row *row, ratoon__buf *out)
{
    uint8_t fixed[ROW_FIXED];
    memcpy(fixed, row->root.bytes, 16);
    ratoon__put_be64(fixed + 16, row->created_at);
    memcpy(fixed + 24, row->executor.bytes, 16);
    fixed[40] = (uint8_t)row->status;
    ratoon__buf_add(out, fixed, sizeof fixed);
    ratoon__buf_add(out, row->subject, strlen(row->subject) + 1);
    ratoon__buf_add(out, row->pipeline, strlen(row->pipeline) + 1);
}

bool ratoon__row_decode(const void *data, size_t size, ratoon_id run, ratoon__run_row *out)
{
    const char *bytes = data;
    if (size < ROW_FIXED + 2 || bytes[size - 1] != '\0') {
        return false;
    }
    const char *subject = bytes + ROW_FIXED;
    const char *end = memchr(subject, '\0', size - ROW_FIXED);
    if (end == bytes + size - 1 ||
        memchr(end + 1, '\0', (size_t)(bytes + size - end - 1)) != bytes + size - 1) {
        return false;
    }
    const uint8_t run_status = (uint8_t)bytes[40];
    if (run_status < RATOON_RUN_QUEUED || run_status > RATOON_RUN_CANCELLED) {
        return false;
    }
    *out = (ratoon__run_row){.run = run,
                             .created_at = ratoon__get_be64(bytes + 16),
                             .status = (ratoon_run_status)run_status,
                             .subject = subject,
                             .pipeline = end + 1};
    memcpy(out->root.bytes, bytes, 16);
    memcpy(out->executor.bytes, bytes + 24, 16);
    return true;
}

void ratoon__index_prefix(ratoon__index index, const void *key, size_t key_size, ratoon__buf *out)
{
    static const char tags[] = {
        [RATOON__INDEX_TIME] = 't',     [RATOON__INDEX_STATUS] = 's', [RATOON__INDEX_SUBJECT] = 'j',
        [RATOON__INDEX_PIPELINE] = 'p', [RATOON__INDEX_ID] = 'r',
    };
    ratoon__buf_add(out, &tags[index], 1);
    if (key_size > 0) {
        ratoon__buf_add(out, key, key_size);
    }
}

/* Both inverted, so that ascending keys are the order of lists (L09): newest first. */
void ratoon__index_suffix(uint64_t created_at, ratoon_id run, ratoon__buf *out)
{
    uint8_t suffix[24];
    ratoon__put_be64(suffix, ~created_at);
    for (size_t i = 0; i < 16; i++) {
        suffix[8 + i] = (uint8_t)~run.bytes[i];
    }
    ratoon__buf_add(out, suffix, sizeof suffix);
}

void ratoon__index_key(ratoon__index index, const ratoon__run_row *row, ratoon__buf *out)
{
    uint8_t status = (uint8_t)row->status;
    switch (index) {
    case RATOON__INDEX_ID:
        ratoon__index_prefix(index, row->run.bytes, sizeof row->run.bytes, out);
        return;
    case RATOON__INDEX_STATUS:
        ratoon__index_prefix(index, &status, 1, out);
        break;
    case RATOON__INDEX_SUBJECT:
        /* The NUL ends the text: no other text's entries begin like these. */
        ratoon__index_prefix(index, row->subject, strlen(row->subject) + 1, out);
        break;
    case RATOON__INDEX_PIPELINE:
        ratoon__index_prefix(index, row->pipeline, strlen(row->pipeline) + 1, out);
        break;
    case RATOON__INDEX_TIME:
        ratoon__index_prefix(index, NULL, 0, out);
        break;
    }
    ratoon__index_suffix(row->created_at, row->run, out);
}

bool ratoon__index_entry_run(ratoon__index index, const void *key, size_t size, size_t prefix_size,
                             ratoon_id *run)
{
    const bool is_row = index == RATOON__INDEX_ID;
    if (size != prefix_size + (is_row ? 16 : 24)) {
        return false;
    }
    memcpy(run->bytes, (const uint8_t *)key + size - 16, 16);
    for (size_t i = 0; !is_row && i < 16; i++) {
        run->bytes[i] = (uint8_t)~run->bytes[i];
    }
    return true;
}
