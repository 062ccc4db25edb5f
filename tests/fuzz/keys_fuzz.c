/* Reaches the keys and rows of the RocksDB driver: ratoon__commit_key(), ratoon__index_key(),
 * ratoon__index_prefix(), ratoon__index_suffix(), ratoon__index_entry_run(), ratoon__row_encode()
 * and ratoon__row_decode(); and beside them the memory driver's keys, whose order must be the same.
 * The input is two rows, and the bytes of one. */
#include "log/memory_driver.h"
#include "log/rocksdb_impl.h"
#include "tests/fuzz/fuzz.h"

static ratoon_id take_id(fuzz_input *in)
{
    ratoon_id id = {{0}};
    size_t size = sizeof id.bytes;
    const uint8_t *bytes = fuzz_bytes(in, &size);
    memcpy(id.bytes, size > 0 ? bytes : id.bytes, size);
    return id;
}

static int sign(int64_t n)
{
    return (n > 0) - (n < 0);
}

static int compare_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
    const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? sign(order) : (a_size > b_size) - (a_size < b_size);
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_ids(ratoon_id a, ratoon_id b)
{
    return sign(memcmp(a.bytes, b.bytes, sizeof a.bytes));
}

/* ---- numbers and commits ---- */

static void check_numbers(uint64_t a, uint64_t b)
{
    uint8_t x[8], y[8];
    ratoon__put_be64(x, a);
    ratoon__put_be64(y, b);
    must(ratoon__get_be64(x) == a && ratoon__get_be64(y) == b);
    must(sign(memcmp(x, y, sizeof x)) == compare_u64(a, b));
    ratoon__put_le64(x, a);
    must(ratoon__get_le64(x) == a);
    const uint64_t back = ratoon__get_le64(y);
    ratoon__put_le64(x, back);
    must(memcmp(x, y, sizeof x) == 0);
}

static void check_commits(ratoon_id a, uint64_t a_number, ratoon_id b, uint64_t b_number)
{
    uint8_t x[RATOON__COMMIT_KEY], y[RATOON__COMMIT_KEY], memory[RATOON__MEMORY_COMMIT_KEY];
    ratoon__commit_key(x, a, a_number);
    ratoon__commit_key(y, b, b_number);
    int order = compare_ids(a, b);
    order = order != 0 ? order : compare_u64(a_number, b_number);
    must(sign(memcmp(x, y, sizeof x)) == order);
    must(memcmp(x, a.bytes, sizeof a.bytes) == 0);
    must(ratoon__get_be64(x + sizeof a.bytes) == a_number);
    ratoon__memory_commit_key(memory, a, a_number);
    must(sizeof memory == sizeof x && memcmp(memory, x, sizeof x) == 0);
}

/* ---- entries ---- */

/* What the entries of one index are sorted by before time and id. */
static int compare_heads(ratoon__index index, const ratoon__run_row *a, const ratoon__run_row *b)
{
    switch (index) {
    case RATOON__INDEX_STATUS:
        return sign((int64_t)a->status - (int64_t)b->status);
    case RATOON__INDEX_SUBJECT:
        return sign(strcmp(a->subject, b->subject));
    case RATOON__INDEX_PIPELINE:
        return sign(strcmp(a->pipeline, b->pipeline));
    default:
        return 0;
    }
}

/* Newest first (L09). */
static int compare_times(const ratoon__run_row *a, const ratoon__run_row *b)
{
    const int order = compare_u64(b->created_at, a->created_at);
    return order != 0 ? order : compare_ids(b->run, a->run);
}

static size_t prefix_of(ratoon__index index, const ratoon__run_row *row, ratoon__buf *out)
{
    const uint8_t status = (uint8_t)row->status;
    switch (index) {
    case RATOON__INDEX_STATUS:
        ratoon__index_prefix(index, &status, 1, out);
        break;
    case RATOON__INDEX_SUBJECT:
        ratoon__index_prefix(index, row->subject, strlen(row->subject) + 1, out);
        break;
    case RATOON__INDEX_PIPELINE:
        ratoon__index_prefix(index, row->pipeline, strlen(row->pipeline) + 1, out);
        break;
    default:
        ratoon__index_prefix(index, NULL, 0, out);
        break;
    }
    return out->size;
}

static bool begins(const ratoon__buf *key, const ratoon__buf *prefix)
{
    return key->size >= prefix->size && memcmp(key->data, prefix->data, prefix->size) == 0;
}

static void check_index(ratoon__index index, const ratoon__run_row *a, const ratoon__run_row *b)
{
    ratoon__buf x = {0}, y = {0}, prefix = {0}, again = {0};
    ratoon_id run;
    ratoon__index_key(index, a, &x);
    ratoon__index_key(index, b, &y);
    const size_t size = prefix_of(index, a, &prefix);
    const int heads = compare_heads(index, a, b);
    const int order = heads != 0                  ? heads
                      : index == RATOON__INDEX_ID ? compare_ids(a->run, b->run)
                                                  : compare_times(a, b);
    must(compare_bytes(x.data, x.size, y.data, y.size) == order);
    /* All of a list share its prefix, and nobody else does. */
    must(begins(&x, &prefix) && begins(&y, &prefix) == (heads == 0));
    must(ratoon__index_entry_run(index, x.data, x.size, size, &run));
    must(ratoon_id_equal(run, a->run));
    must(!ratoon__index_entry_run(index, x.data, x.size - 1, size, &run));
    if (index != RATOON__INDEX_ID) {
        const uint64_t created = ~ratoon__get_be64(x.data + size);
        must(created == a->created_at);
        ratoon__buf_add(&again, prefix.data, prefix.size);
        ratoon__index_suffix(created, run, &again);
        must(again.size == x.size && memcmp(again.data, x.data, x.size) == 0);
    }
    ratoon__buf_free(&x);
    ratoon__buf_free(&y);
    ratoon__buf_free(&prefix);
    ratoon__buf_free(&again);
}

static void check_memory_order(const ratoon__run_row *a, const ratoon__run_row *b)
{
    uint8_t x[RATOON__MEMORY_ORDER_KEY], y[RATOON__MEMORY_ORDER_KEY];
    ratoon__buf p = {0}, q = {0};
    ratoon__memory_order_key(x, a->created_at, a->run);
    ratoon__memory_order_key(y, b->created_at, b->run);
    must(sign(memcmp(x, y, sizeof x)) == compare_times(a, b));
    ratoon__memory_index_key(&p, RATOON__INDEX_SUBJECT, a->subject, x, sizeof x);
    ratoon__memory_index_key(&q, RATOON__INDEX_SUBJECT, b->subject, y, sizeof y);
    const int heads = compare_heads(RATOON__INDEX_SUBJECT, a, b);
    must(compare_bytes(p.data, p.size, q.data, q.size) ==
         (heads != 0 ? heads : compare_times(a, b)));
    ratoon__buf_free(&p);
    ratoon__buf_free(&q);
}

/* ---- rows ---- */

static void check_row(const ratoon__run_row *row)
{
    ratoon__buf bytes = {0};
    ratoon__run_row out;
    ratoon__row_encode(row, &bytes);
    uint8_t *copy = fuzz_copy(bytes.data, bytes.size);
    must(ratoon__row_decode(copy, bytes.size, row->run, &out));
    must(ratoon_id_equal(out.run, row->run) && ratoon_id_equal(out.root, row->root));
    must(ratoon_id_equal(out.executor, row->executor) && out.created_at == row->created_at);
    must(out.status == row->status);
    must(strcmp(out.subject, row->subject) == 0 && strcmp(out.pipeline, row->pipeline) == 0);
    for (size_t size = 0; size < bytes.size; size++) {
        uint8_t *cut = fuzz_copy(bytes.data, size);
        must(!ratoon__row_decode(cut, size, row->run, &out));
        free(cut);
    }
    free(copy);
    ratoon__buf_free(&bytes);
}

/* What is read as a row is one: the same row gives the same bytes. */
static void check_bytes(const void *data, size_t size, ratoon_id run)
{
    ratoon__buf again = {0};
    ratoon__run_row row;
    void *copy = fuzz_copy(data, size);
    if (ratoon__row_decode(copy, size, run, &row)) {
        must(ratoon_run_status_name(row.status)[0] != '\0');
        ratoon__row_encode(&row, &again);
        must(again.size == size && memcmp(again.data, copy, size) == 0);
    }
    free(copy);
    ratoon__buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    ratoon__run_row rows[2] = {{.status = (ratoon_run_status)0}};
    char *texts[4];
    const uint32_t shared = fuzz_byte(&in); /* so that what comes behind decides too */
    for (size_t i = 0; i < 2; i++) {
        ratoon__run_row *row = &rows[i];
        row->status = (ratoon_run_status)(1 + fuzz_below(&in, RATOON_RUN_CANCELLED));
        row->created_at = fuzz_u64(&in);
        row->run = take_id(&in);
        row->root = take_id(&in);
        row->executor = take_id(&in);
        row->subject = texts[2 * i] = fuzz_string(&in);
        row->pipeline = texts[2 * i + 1] = fuzz_string(&in);
    }
    rows[1].status = (shared & 1) != 0 ? rows[0].status : rows[1].status;
    rows[1].created_at = (shared & 2) != 0 ? rows[0].created_at : rows[1].created_at;
    rows[1].run = (shared & 4) != 0 ? rows[0].run : rows[1].run;
    rows[1].subject = (shared & 8) != 0 ? rows[0].subject : rows[1].subject;
    rows[1].pipeline = (shared & 16) != 0 ? rows[0].pipeline : rows[1].pipeline;
    check_numbers(rows[0].created_at, rows[1].created_at);
    check_commits(rows[0].run, rows[0].created_at, rows[1].run, rows[1].created_at);
    for (int index = RATOON__INDEX_TIME; index <= RATOON__INDEX_ID; index++) {
        check_index((ratoon__index)index, &rows[0], &rows[1]);
        check_index((ratoon__index)index, &rows[1], &rows[0]);
    }
    check_memory_order(&rows[0], &rows[1]);
    check_row(&rows[0]);
    check_bytes(in.at, in.left, rows[0].run);
    for (size_t i = 0; i < 4; i++) {
        free(texts[i]);
    }
    return 0;
}
