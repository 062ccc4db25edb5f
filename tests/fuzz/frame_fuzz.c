/* Reaches ratoon__frame_head_get(), every ratoon__frame_get_…(), ratoon__frame_page_head() and
 * ratoon__serve(): whatever a peer sends, in either direction. */
#include "log/socket_serve.h"
#include "tests/fuzz/fuzz.h"

/* ---- a driver that has a little of everything ---- */

static const uint64_t stored[4] = {1, 2, 3, 4};

static ratoon_status stub_head(ratoon__driver *d, ratoon_id lineage, uint64_t *head,
                               ratoon_error *error)
{
    (void)d;
    (void)error;
    *head = lineage.bytes[0];
    return RATOON_OK;
}

static ratoon_status stub_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                               bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                               ratoon_error *error)
{
    (void)d;
    (void)one_lineage;
    (void)error;
    for (uint64_t i = 0; i < 3 && fn(ctx, i + 1, lineage, from + i, stored, sizeof stored); i++) {
    }
    return verify ? ratoon__fail(error, RATOON_ERR_DAMAGED, "damaged at %U", from) : RATOON_OK;
}

static ratoon_status stub_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                ratoon__head_fn fn, void *ctx, ratoon_error *error)
{
    (void)d;
    const ratoon_digest digest = {{1}};
    after.bytes[0]++;
    (void)fn(ctx, after, before, &digest);
    return before == 0 ? ratoon__fail(error, RATOON_ERR_READ_ONLY, "read-only") : RATOON_OK;
}

static ratoon_status stub_end(ratoon__driver *d, uint64_t *position, ratoon_error *error)
{
    (void)d;
    (void)error;
    *position = 1;
    return RATOON_OK;
}

static ratoon_status stub_value_get(ratoon__driver *d, const ratoon_digest *digest,
                                    ratoon_buffer *out, ratoon_error *error)
{
    (void)d;
    if (digest->bytes[0] == 0) {
        return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "no such value");
    }
    *out = (ratoon_buffer){.data = calloc(1, 8), .size = 7};
    return out->data != NULL ? RATOON_OK : RATOON_ERR_NO_MEMORY;
}

static ratoon_status stub_values(ratoon__driver *d, ratoon__digest_fn fn, void *ctx,
                                 ratoon_error *error)
{
    (void)d;
    (void)error;
    ratoon_digest digest = {{0}};
    for (; digest.bytes[0] < 4 && fn(ctx, &digest, stored, sizeof stored); digest.bytes[0]++) {
    }
    return RATOON_OK;
}

static ratoon_status stub_run_get(ratoon__driver *d, ratoon_id run, ratoon_id *root,
                                  ratoon_error *error)
{
    (void)d;
    (void)error;
    *root = run;
    return RATOON_OK;
}

static ratoon_status stub_list(ratoon__driver *d, const ratoon__list_query *query,
                               ratoon__row_fn fn, void *ctx, ratoon_error *error)
{
    (void)d;
    if (query->limit < 1 || query->limit > 1000) { /* as every driver must */
        return ratoon__fail(error, RATOON_ERR_USAGE, "a limit of %u rows", query->limit);
    }
    const ratoon__run_row row = {
        .run = query->from_id, .status = RATOON_RUN_QUEUED, .subject = query->key, .pipeline = ""};
    for (uint32_t i = 0; i < query->limit && fn(ctx, &row); i++) {
    }
    return RATOON_OK;
}

static ratoon_status stub_claim_get(ratoon__driver *d, const char *name, ratoon_id *holder,
                                    ratoon_error *error)
{
    (void)d;
    (void)holder;
    return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "nobody holds %s", name);
}

static ratoon_status stub_claims(ratoon__driver *d, const char *prefix, const char *after,
                                 ratoon__claim_fn fn, void *ctx, ratoon_error *error)
{
    (void)d;
    (void)error;
    (void)(fn(ctx, prefix, (ratoon_id){{1}}) && fn(ctx, after, (ratoon_id){{2}}));
    return RATOON_OK;
}

static ratoon_status stub_snapshot_get(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                       uint64_t *at, ratoon_buffer *out, ratoon_error *error)
{
    (void)lineage;
    *at = number;
    return stub_value_get(d, &(const ratoon_digest){{1}}, out, error);
}

static ratoon_status stub_snapshot_put(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                       const void *data, size_t size, ratoon_error *error)
{
    (void)d;
    (void)lineage;
    (void)error;
    unsigned sum = (unsigned)number;
    for (size_t i = 0; i < size; i++) {
        sum += ((const uint8_t *)data)[i];
    }
    return sum % 2 == 0 ? RATOON_OK : RATOON_ERR_IO;
}

static const ratoon__driver_ops stub_ops = {
    .head = stub_head,
    .heads = stub_heads,
    .read = stub_read,
    .end = stub_end,
    .value_get = stub_value_get,
    .values = stub_values,
    .run_get = stub_run_get,
    .list = stub_list,
    .claim_get = stub_claim_get,
    .claims = stub_claims,
    .snapshot_get = stub_snapshot_get,
    .snapshot_put = stub_snapshot_put,
};

/* ---- what must hold ---- */

/* What was read whole is written in as many bytes, and read again. */
static void try_group(const uint8_t *frame, size_t size)
{
    ratoon__arena arena = {0};
    ratoon__append *appends;
    size_t count;
    bool sync;
    ratoon__frame_reader r = ratoon__frame_fields(frame, size);
    ratoon__frame_get_group(&r, &arena, &appends, &count, &sync);
    if (ratoon__frame_done(&r)) {
        ratoon__buf buf = {0};
        ratoon__frame_writer w = ratoon__frame_begin(&buf, RATOON__FRAME_APPEND, RATOON_OK, 7);
        ratoon__frame_put_group(&w, appends, count, sync);
        must(ratoon__frame_finish(&w, NULL) == RATOON_OK);
        must(buf.size == size);
        ratoon__frame_head head;
        must(ratoon__frame_head_get(buf.data, &head) && head.id == 7 && head.size == size);
        ratoon__buf_free(&buf);
    }
    ratoon__arena_free(&arena);
}

static void try_answers(const uint8_t *frame, const ratoon__frame_head *head)
{
    ratoon_error error;
    ratoon__frame_reader r = ratoon__frame_fields(frame, head->size);
    ratoon__frame_get_error(&r, head->status, &error);
    must(strlen(error.message) < sizeof error.message && strlen(error.hint) < sizeof error.hint);

    ratoon__append results[3];
    r = ratoon__frame_fields(frame, head->size);
    ratoon__frame_get_results(&r, results, head->id % 4);

    uint64_t count;
    bool more;
    r = ratoon__frame_fields(frame, head->size);
    ratoon__frame_page_head(&r, &count, &more);
    ratoon__frame_reader rows = r;
    ratoon__frame_commit commit;
    for (uint64_t i = 0; i < count && !r.bad; i++) {
        ratoon__frame_get_commit(&r, &commit);
        must(r.bad || (uintptr_t)commit.data % 8 == 0);
    }
    ratoon__run_row row;
    for (uint64_t i = 0; i < count && !rows.bad; i++) {
        ratoon__frame_get_row(&rows, &row);
    }
}

static void try_request(const uint8_t *frame, const ratoon__frame_head *head)
{
    ratoon__driver stub = {.ops = &stub_ops};
    ratoon__buf out = {0};
    if (ratoon__serve(&stub, head, frame, &out)) {
        ratoon__frame_head answer;
        must(out.size >= RATOON__FRAME_HEAD_SIZE && ratoon__frame_head_get(out.data, &answer));
        must(answer.size == out.size && answer.id == head->id && answer.op == head->op);
    }
    ratoon__buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ratoon__frame_head head;
    size &= ~(size_t)7;
    if (size < RATOON__FRAME_HEAD_SIZE || size > UINT32_MAX) {
        return 0;
    }
    uint8_t *frame = malloc(size); /* exactly: so that a sanitizer sees what lies beyond */
    must(frame != NULL);
    memcpy(frame, data, size);
    (void)ratoon__frame_head_get(frame, &head);
    const uint8_t whole[4] = {(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16),
                              (uint8_t)(size >> 24)};
    memcpy(frame, whole, sizeof whole);
    if (ratoon__frame_head_get(frame, &head)) {
        try_group(frame, size);
        try_answers(frame, &head);
        try_request(frame, &head);
    }
    free(frame);
    return 0;
}
