#include "log/socket_frame.h"

#include <endian.h>
#include <string.h>

#define ALIGNMENT ((size_t)8)
#define STATUS_MAX RATOON_ERR_AMBIGUOUS

/* What one of these takes in a frame at the least: a count beyond what is left can't be true, and
 * nothing is allocated for it. */
#define APPEND_SIZE_MIN ((size_t)72)
#define VALUE_SIZE_MIN ((size_t)40)
#define CLAIM_SIZE_MIN ((size_t)40)
#define ROW_SIZE_MIN ((size_t)96)

static size_t padded(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

/* ---- heads ---- */

typedef struct wire_head {
    uint32_t size;
    uint16_t op;
    uint16_t status;
    uint64_t id;
} wire_head;
_Static_assert(sizeof(wire_head) == 16, "the head of a frame");

bool ratoon__frame_head_get(const void *data, ratoon__frame_head *out)
{
    wire_head head;
    memcpy(&head, data, sizeof head);
    size_t size = le32toh(head.size);
    unsigned op = le16toh(head.op);
    unsigned status = le16toh(head.status);
    if (size < RATOON__FRAME_HEAD_SIZE || size > RATOON__FRAME_SIZE_MAX || size % ALIGNMENT != 0 ||
        op == 0 || op >= RATOON__FRAME_OP_END || status > STATUS_MAX) {
        return false;
    }
    *out = (ratoon__frame_head){
        .size = size,
        .op = (ratoon__frame_op)op,
        .status = (ratoon_status)status,
        .id = le64toh(head.id),
    };
    return true;
}

void ratoon__frame_id_set(void *frame, uint64_t id)
{
    uint64_t wire = htole64(id);
    memcpy((char *)frame + offsetof(wire_head, id), &wire, sizeof wire);
}

/* ---- writing ---- */

static void put(ratoon__frame_writer *w, const void *data, size_t size)
{
    if (size > RATOON__FRAME_SIZE_MAX - ratoon__frame_size(w)) {
        w->over_limit = true;
    }
    if (!w->over_limit) {
        ratoon__buf_add(w->buf, data, size);
    }
}

ratoon__frame_writer ratoon__frame_begin(ratoon__buf *buf, ratoon__frame_op op,
                                         ratoon_status status, uint64_t id)
{
    ratoon__frame_writer w = {.buf = buf, .start = buf->size};
    const wire_head head = {
        .op = htole16((uint16_t)op),
        .status = htole16((uint16_t)status),
        .id = htole64(id),
    };
    put(&w, &head, sizeof head);
    return w;
}

size_t ratoon__frame_size(const ratoon__frame_writer *w)
{
    return w->buf->size - w->start;
}

void ratoon__frame_put_u64(ratoon__frame_writer *w, uint64_t value)
{
    uint64_t wire = htole64(value);
    put(w, &wire, sizeof wire);
}

void ratoon__frame_put_id(ratoon__frame_writer *w, ratoon_id id)
{
    put(w, id.bytes, sizeof id.bytes);
}

void ratoon__frame_put_digest(ratoon__frame_writer *w, const ratoon_digest *digest)
{
    put(w, digest->bytes, sizeof digest->bytes);
}

void ratoon__frame_put_bytes(ratoon__frame_writer *w, const void *data, size_t size)
{
    static const uint8_t zeros[8];
    ratoon__frame_put_u64(w, size);
    if (size > 0) {
        put(w, data, size);
    }
    if (padded(size) > size) {
        put(w, zeros, padded(size) - size);
    }
}

void ratoon__frame_put_text(ratoon__frame_writer *w, const char *text)
{
    if (text == NULL) {
        text = "";
    }
    size_t size = strlen(text) + 1;
    if (size > RATOON__FRAME_TEXT_MAX) {
        w->over_limit = true;
    } else {
        ratoon__frame_put_bytes(w, text, size);
    }
}

void ratoon__frame_patch_u64(ratoon__frame_writer *w, size_t offset, uint64_t value)
{
    uint64_t wire = htole64(value);
    if (offset + sizeof wire <= ratoon__frame_size(w)) {
        memcpy(w->buf->data + w->start + offset, &wire, sizeof wire);
    }
}

ratoon_status ratoon__frame_finish(ratoon__frame_writer *w, ratoon_error *error)
{
    if (!w->over_limit && !w->buf->failed) {
        uint32_t wire = htole32((uint32_t)ratoon__frame_size(w));
        memcpy(w->buf->data + w->start + offsetof(wire_head, size), &wire, sizeof wire);
        return RATOON_OK;
    }
    bool over_limit = w->over_limit;
    w->buf->size = w->start;
    w->buf->failed = false;
    if (over_limit) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "a request or answer is over the %U bytes (a text: %U) that a store "
                            "can be asked through its owner's socket",
                            (uint64_t)RATOON__FRAME_SIZE_MAX, (uint64_t)RATOON__FRAME_TEXT_MAX);
    }
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory writing a frame");
}

/* ---- reading ---- */

ratoon__frame_reader ratoon__frame_fields(const void *frame, size_t size)
{
    return (ratoon__frame_reader){
        .data = frame,
        .size = size,
        .at = RATOON__FRAME_HEAD_SIZE,
        .bad = size < RATOON__FRAME_HEAD_SIZE || size % ALIGNMENT != 0,
    };
}

/* The next `size` bytes and their padding, or NULL. */
static const void *take(ratoon__frame_reader *r, size_t size)
{
    if (r->bad || size > r->size - r->at) { /* both multiples of 8: the padding is there too */
        r->bad = true;
        return NULL;
    }
    const void *data = r->data + r->at;
    r->at += padded(size);
    return data;
}

uint64_t ratoon__frame_get_u64(ratoon__frame_reader *r)
{
    uint64_t wire = 0;
    const void *data = take(r, sizeof wire);
    if (data != NULL) {
        memcpy(&wire, data, sizeof wire);
    }
    return le64toh(wire);
}

uint64_t ratoon__frame_get_range(ratoon__frame_reader *r, uint64_t low, uint64_t high)
{
    uint64_t value = ratoon__frame_get_u64(r);
    if (value < low || value > high) {
        r->bad = true;
        return low;
    }
    return value;
}

ratoon_id ratoon__frame_get_id(ratoon__frame_reader *r)
{
    ratoon_id id = {{0}};
    const void *data = take(r, sizeof id.bytes);
    if (data != NULL) {
        memcpy(id.bytes, data, sizeof id.bytes);
    }
    return id;
}

ratoon_digest ratoon__frame_get_digest(ratoon__frame_reader *r)
{
    ratoon_digest digest = {{0}};
    const void *data = take(r, sizeof digest.bytes);
    if (data != NULL) {
        memcpy(digest.bytes, data, sizeof digest.bytes);
    }
    return digest;
}

const void *ratoon__frame_get_bytes(ratoon__frame_reader *r, size_t *size)
{
    uint64_t length = ratoon__frame_get_u64(r);
    const void *data = NULL;
    if (length > RATOON__FRAME_SIZE_MAX) {
        r->bad = true;
    } else {
        data = take(r, (size_t)length);
    }
    *size = data != NULL ? (size_t)length : 0;
    return data;
}

const char *ratoon__frame_get_text(ratoon__frame_reader *r)
{
    size_t size;
    const char *text = ratoon__frame_get_bytes(r, &size);
    if (text == NULL || size == 0 || size > RATOON__FRAME_TEXT_MAX ||
        memchr(text, '\0', size) != text + size - 1) {
        r->bad = true;
        return "";
    }
    return text;
}

bool ratoon__frame_done(const ratoon__frame_reader *r)
{
    return !r->bad && r->at == r->size;
}

/* ---- things that frames carry ---- */

void ratoon__frame_put_error(ratoon__frame_writer *w, const ratoon_error *error)
{
    ratoon__frame_put_u64(w, (uint64_t)(uint32_t)error->backend_code);
    ratoon__frame_put_id(w, error->run);
    ratoon__frame_put_id(w, error->other);
    ratoon__frame_put_u64(w, error->line);
    ratoon__frame_put_u64(w, error->column);
    ratoon__frame_put_text(w, error->stage);
    ratoon__frame_put_text(w, error->message);
    ratoon__frame_put_text(w, error->hint);
}

/* A text of the peer into a bounded field; what is too long is bad. */
static void get_field(ratoon__frame_reader *r, char *field, size_t field_size)
{
    const char *text = ratoon__frame_get_text(r);
    size_t size = strlen(text) + 1;
    if (size > field_size) {
        r->bad = true;
        size = 0;
    }
    memcpy(field, text, size);
}

void ratoon__frame_get_error(ratoon__frame_reader *r, ratoon_status status, ratoon_error *error)
{
    ratoon_error ignored;
    if (error == NULL) {
        error = &ignored;
    }
    memset(error, 0, sizeof *error);
    error->code = status;
    error->backend_code = (int)(uint32_t)ratoon__frame_get_range(r, 0, UINT32_MAX);
    error->run = ratoon__frame_get_id(r);
    error->other = ratoon__frame_get_id(r);
    error->line = (uint32_t)ratoon__frame_get_range(r, 0, UINT32_MAX);
    error->column = (uint32_t)ratoon__frame_get_range(r, 0, UINT32_MAX);
    get_field(r, error->stage, sizeof error->stage);
    get_field(r, error->message, sizeof error->message);
    get_field(r, error->hint, sizeof error->hint);
}

void ratoon__frame_put_row(ratoon__frame_writer *w, const ratoon__run_row *row)
{
    ratoon__frame_put_id(w, row->run);
    ratoon__frame_put_id(w, row->root);
    ratoon__frame_put_u64(w, row->created_at);
    ratoon__frame_put_u64(w, (uint64_t)row->status);
    ratoon__frame_put_id(w, row->executor);
    ratoon__frame_put_text(w, row->subject);
    ratoon__frame_put_text(w, row->pipeline);
}

void ratoon__frame_get_row(ratoon__frame_reader *r, ratoon__run_row *row)
{
    row->run = ratoon__frame_get_id(r);
    row->root = ratoon__frame_get_id(r);
    row->created_at = ratoon__frame_get_u64(r);
    row->status = (ratoon_run_status)ratoon__frame_get_range(r, 0, RATOON_RUN_CANCELLED);
    row->executor = ratoon__frame_get_id(r);
    row->subject = ratoon__frame_get_text(r);
    row->pipeline = ratoon__frame_get_text(r);
}

void ratoon__frame_put_query(ratoon__frame_writer *w, const ratoon__list_query *query)
{
    ratoon__frame_put_u64(w, (uint64_t)query->index);
    ratoon__frame_put_text(w, query->key);
    ratoon__frame_put_id(w, query->from_id);
    ratoon__frame_put_u64(w, query->before_time);
    ratoon__frame_put_id(w, query->before_id);
    ratoon__frame_put_u64(w, query->limit);
}

void ratoon__frame_get_query(ratoon__frame_reader *r, ratoon__list_query *query)
{
    query->index = (ratoon__index)ratoon__frame_get_range(r, RATOON__INDEX_TIME, RATOON__INDEX_ID);
    query->key = ratoon__frame_get_text(r);
    query->from_id = ratoon__frame_get_id(r);
    query->before_time = ratoon__frame_get_u64(r);
    query->before_id = ratoon__frame_get_id(r);
    query->limit = (uint32_t)ratoon__frame_get_range(r, 0, UINT32_MAX);
}

/* ---- appends ---- */

static void put_append(ratoon__frame_writer *w, const ratoon__append *a, size_t rests_on_max)
{
    ratoon__frame_put_id(w, a->lineage);
    ratoon__frame_put_u64(w, a->number);
    ratoon__frame_put_u64(w, a->erase);
    ratoon__frame_put_u64(w, a->rests_on <= rests_on_max ? a->rests_on : 0);
    ratoon__frame_put_bytes(w, a->data, a->size);
    ratoon__frame_put_u64(w, a->values_count);
    for (size_t i = 0; i < a->values_count; i++) {
        ratoon__frame_put_digest(w, &a->values[i].digest);
        ratoon__frame_put_bytes(w, a->values[i].data, a->values[i].size);
    }
    ratoon__frame_put_u64(w, a->claims_count);
    for (size_t i = 0; i < a->claims_count; i++) {
        ratoon__frame_put_text(w, a->claims[i].name);
        ratoon__frame_put_id(w, a->claims[i].run);
        ratoon__frame_put_u64(w, a->claims[i].take);
    }
    ratoon__frame_put_u64(w, a->rows_count);
    for (size_t i = 0; i < a->rows_count; i++) {
        ratoon__frame_put_row(w, &a->rows[i]);
    }
}

/* An array of as many elements as the frame says there are, each of at least size_min in it. */
static void *get_array(ratoon__frame_reader *r, ratoon__arena *arena, size_t size_min,
                       size_t element_size, size_t *count)
{
    *count = (size_t)ratoon__frame_get_range(r, 0, (r->size - r->at) / size_min);
    void *array = r->bad ? NULL : ratoon__arena_alloc(arena, *count * element_size);
    if (array == NULL) {
        r->bad = true;
        *count = 0;
    }
    return array;
}

static void get_append(ratoon__frame_reader *r, ratoon__arena *arena, size_t rests_on_max,
                       ratoon__append *a)
{
    a->lineage = ratoon__frame_get_id(r);
    a->number = ratoon__frame_get_u64(r);
    a->erase = ratoon__frame_get_range(r, 0, 1) != 0;
    a->rests_on = (uint32_t)ratoon__frame_get_range(r, 0, rests_on_max);
    a->data = ratoon__frame_get_bytes(r, &a->size);

    ratoon__stored_value *values =
        get_array(r, arena, VALUE_SIZE_MIN, sizeof *values, &a->values_count);
    for (size_t i = 0; i < a->values_count; i++) {
        values[i].digest = ratoon__frame_get_digest(r);
        values[i].data = ratoon__frame_get_bytes(r, &values[i].size);
    }
    a->values = values;

    ratoon__claim *claims = get_array(r, arena, CLAIM_SIZE_MIN, sizeof *claims, &a->claims_count);
    for (size_t i = 0; i < a->claims_count; i++) {
        claims[i].name = ratoon__frame_get_text(r);
        claims[i].run = ratoon__frame_get_id(r);
        claims[i].take = ratoon__frame_get_range(r, 0, 1) != 0;
    }
    a->claims = claims;

    ratoon__run_row *rows = get_array(r, arena, ROW_SIZE_MIN, sizeof *rows, &a->rows_count);
    for (size_t i = 0; i < a->rows_count; i++) {
        ratoon__frame_get_row(r, &rows[i]);
    }
    a->rows = rows;
}

void ratoon__frame_put_group(ratoon__frame_writer *w, const ratoon__append *appends, size_t count,
                             bool sync)
{
    ratoon__frame_put_u64(w, sync);
    ratoon__frame_put_u64(w, count);
    for (size_t i = 0; i < count; i++) {
        put_append(w, &appends[i], i);
    }
}

void ratoon__frame_get_group(ratoon__frame_reader *r, ratoon__arena *arena,
                             ratoon__append **appends, size_t *count, bool *sync)
{
    *sync = ratoon__frame_get_range(r, 0, 1) != 0;
    *appends = get_array(r, arena, APPEND_SIZE_MIN, sizeof **appends, count);
    for (size_t i = 0; i < *count && !r->bad; i++) {
        get_append(r, arena, i, &(*appends)[i]);
    }
}

void ratoon__frame_put_results(ratoon__frame_writer *w, const ratoon__append *appends, size_t count)
{
    ratoon__frame_put_u64(w, count);
    for (size_t i = 0; i < count; i++) {
        ratoon__frame_put_u64(w, (uint64_t)appends[i].status);
        ratoon__frame_put_u64(w, appends[i].position);
        ratoon__frame_put_u64(w, appends[i].head);
        ratoon__frame_put_id(w, appends[i].holder);
        ratoon__frame_put_u64(w, appends[i].claim);
    }
}

void ratoon__frame_get_results(ratoon__frame_reader *r, ratoon__append *appends, size_t count)
{
    (void)ratoon__frame_get_range(r, count, count);
    for (size_t i = 0; i < count && !r->bad; i++) {
        appends[i].status = (ratoon_status)ratoon__frame_get_range(r, 0, STATUS_MAX);
        appends[i].position = ratoon__frame_get_u64(r);
        appends[i].head = ratoon__frame_get_u64(r);
        appends[i].holder = ratoon__frame_get_id(r);
        appends[i].claim = (uint32_t)ratoon__frame_get_range(r, 0, UINT32_MAX);
    }
}

/* ---- pages ---- */

ratoon__frame_page ratoon__frame_page_begin(ratoon__buf *buf, ratoon__frame_op op, uint64_t id)
{
    ratoon__frame_page p = {.writer = ratoon__frame_begin(buf, op, RATOON_OK, id)};
    p.at = ratoon__frame_size(&p.writer);
    ratoon__frame_put_u64(&p.writer, 0);
    ratoon__frame_put_u64(&p.writer, 0);
    return p;
}

bool ratoon__frame_page_full(const ratoon__frame_page *p)
{
    return ratoon__frame_size(&p->writer) >= RATOON__FRAME_PAGE_SIZE || p->writer.over_limit ||
           p->writer.buf->failed;
}

ratoon_status ratoon__frame_page_finish(ratoon__frame_page *p, bool more, ratoon_error *error)
{
    ratoon__frame_patch_u64(&p->writer, p->at, p->count);
    ratoon__frame_patch_u64(&p->writer, p->at + sizeof p->count, more);
    return ratoon__frame_finish(&p->writer, error);
}

void ratoon__frame_page_head(ratoon__frame_reader *r, uint64_t *count, bool *more)
{
    *count = ratoon__frame_get_u64(r);
    *more = ratoon__frame_get_range(r, 0, 1) != 0;
    if (r->bad) {
        *count = 0;
    }
}

void ratoon__frame_put_commit(ratoon__frame_writer *w, const ratoon__frame_commit *commit)
{
    ratoon__frame_put_u64(w, commit->position);
    ratoon__frame_put_u64(w, commit->number);
    ratoon__frame_put_id(w, commit->lineage);
    ratoon__frame_put_bytes(w, commit->data, commit->size);
}

void ratoon__frame_get_commit(ratoon__frame_reader *r, ratoon__frame_commit *commit)
{
    commit->position = ratoon__frame_get_u64(r);
    commit->number = ratoon__frame_get_u64(r);
    commit->lineage = ratoon__frame_get_id(r);
    commit->data = ratoon__frame_get_bytes(r, &commit->size);
}
