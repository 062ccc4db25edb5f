#include "log/socket_serve.h"

#include <string.h>
#include <unistd.h>

typedef struct request {
    ratoon__driver *driver;
    const ratoon__frame_head *head;
    ratoon__frame_reader fields;
    ratoon__buf *out;
    ratoon_error error; /* of the driver, for the answer */
} request;

bool ratoon__serve_error(const ratoon__frame_head *head, ratoon_status status,
                         const ratoon_error *error, ratoon__buf *out)
{
    ratoon__frame_writer w = ratoon__frame_begin(out, head->op, status, head->id);
    ratoon__frame_put_error(&w, error);
    return ratoon__frame_finish(&w, NULL) == RATOON_OK;
}

static ratoon__frame_writer answer(const request *q)
{
    return ratoon__frame_begin(q->out, q->head->op, RATOON_OK, q->head->id);
}

static ratoon_status serve_hello(request *q)
{
    if (ratoon__frame_get_u64(&q->fields) != RATOON__FRAME_MAGIC) {
        q->fields.bad = true;
        return RATOON_OK;
    }
    uint64_t version = ratoon__frame_get_u64(&q->fields);
    if (version != RATOON__FRAME_VERSION) {
        return ratoon__fail(&q->error, RATOON_ERR_UNSUPPORTED,
                            "process %d, which owns the store, speaks version %d of the socket "
                            "protocol; this one speaks version %U",
                            (int)getpid(), RATOON__FRAME_VERSION, version);
    }
    ratoon__frame_writer w = answer(q);
    ratoon__frame_put_u64(&w, RATOON__FRAME_VERSION);
    return ratoon__frame_finish(&w, &q->error);
}

static ratoon_status answer_number(request *q, ratoon_status status, uint64_t number)
{
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__frame_writer w = answer(q);
    ratoon__frame_put_u64(&w, number);
    return ratoon__frame_finish(&w, &q->error);
}

static ratoon_status answer_id(request *q, ratoon_status status, ratoon_id id)
{
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__frame_writer w = answer(q);
    ratoon__frame_put_id(&w, id);
    return ratoon__frame_finish(&w, &q->error);
}

/* ---- pages ---- */

typedef struct page {
    ratoon__frame_page page;
    ratoon_digest from; /* of values */
    bool more;
} page;

static bool add_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                       const void *data, size_t size)
{
    page *p = ctx;
    p->more = ratoon__frame_page_full(&p->page);
    if (!p->more) {
        const ratoon__frame_commit commit = {position, number, lineage, data, size};
        ratoon__frame_put_commit(&p->page.writer, &commit);
        p->page.count++;
    }
    return !p->more;
}

static bool add_value(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    page *p = ctx;
    if (memcmp(digest->bytes, p->from.bytes, sizeof digest->bytes) < 0) {
        return true;
    }
    p->more = ratoon__frame_page_full(&p->page);
    if (!p->more) {
        ratoon__frame_put_digest(&p->page.writer, digest);
        ratoon__frame_put_bytes(&p->page.writer, data, size);
        p->page.count++;
    }
    return !p->more;
}

static bool add_row(void *ctx, const ratoon__run_row *row)
{
    page *p = ctx;
    ratoon__frame_put_row(&p->page.writer, row);
    p->page.count++;
    return !p->page.writer.over_limit;
}

static bool add_claim(void *ctx, const char *name, ratoon_id holder)
{
    page *p = ctx;
    ratoon__frame_put_text(&p->page.writer, name);
    ratoon__frame_put_id(&p->page.writer, holder);
    p->page.count++;
    return !p->page.writer.over_limit;
}

static bool add_head(void *ctx, ratoon_id lineage, uint64_t number, const ratoon_digest *digest)
{
    page *p = ctx;
    p->more = ratoon__frame_page_full(&p->page);
    if (!p->more) {
        ratoon__frame_put_id(&p->page.writer, lineage);
        ratoon__frame_put_u64(&p->page.writer, number);
        ratoon__frame_put_digest(&p->page.writer, digest);
        p->page.count++;
    }
    return !p->more;
}

static page page_begin(const request *q)
{
    return (page){.page = ratoon__frame_page_begin(q->out, q->head->op, q->head->id)};
}

static ratoon_status page_finish(request *q, page *p, ratoon_status status)
{
    return status != RATOON_OK ? status : ratoon__frame_page_finish(&p->page, p->more, &q->error);
}

static ratoon_status serve_read(request *q)
{
    ratoon_id lineage = ratoon__frame_get_id(&q->fields);
    uint64_t from = ratoon__frame_get_u64(&q->fields);
    bool one_lineage = ratoon__frame_get_range(&q->fields, 0, 1) != 0;
    bool verify = ratoon__frame_get_range(&q->fields, 0, 1) != 0;
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    page p = page_begin(q);
    return page_finish(q, &p,
                       q->driver->ops->read(q->driver, lineage, from, one_lineage, verify,
                                            add_commit, &p, &q->error));
}

static ratoon_status serve_heads(request *q)
{
    ratoon_id after = ratoon__frame_get_id(&q->fields);
    uint64_t before = ratoon__frame_get_u64(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    page p = page_begin(q);
    return page_finish(q, &p,
                       q->driver->ops->heads(q->driver, after, before, add_head, &p, &q->error));
}

static ratoon_status serve_values(request *q)
{
    ratoon_digest from = ratoon__frame_get_digest(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    const ratoon__driver_ops *ops = q->driver->ops;
    page p = page_begin(q);
    p.from = from;
    return page_finish(q, &p,
                       ops->values_from != NULL
                           ? ops->values_from(q->driver, &from, add_value, &p, &q->error)
                           : ops->values(q->driver, add_value, &p, &q->error));
}

static ratoon_status serve_list(request *q)
{
    ratoon__list_query query;
    ratoon__frame_get_query(&q->fields, &query);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    page p = page_begin(q);
    return page_finish(q, &p, q->driver->ops->list(q->driver, &query, add_row, &p, &q->error));
}

static ratoon_status serve_claims(request *q)
{
    const char *prefix = ratoon__frame_get_text(&q->fields);
    const char *after = ratoon__frame_get_text(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    page p = page_begin(q);
    ratoon_status status =
        q->driver->ops->claims(q->driver, prefix, after, add_claim, &p, &q->error);
    return page_finish(q, &p, status);
}

/* ---- single results ---- */

static ratoon_status serve_head(request *q)
{
    ratoon_id lineage = ratoon__frame_get_id(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    uint64_t head = 0;
    ratoon_status status = q->driver->ops->head(q->driver, lineage, &head, &q->error);
    return answer_number(q, status, head);
}

static ratoon_status serve_end(request *q)
{
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    uint64_t end = 0;
    ratoon_status status = q->driver->ops->end(q->driver, &end, &q->error);
    return answer_number(q, status, end);
}

static ratoon_status serve_run_get(request *q)
{
    ratoon_id run = ratoon__frame_get_id(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    ratoon_id root = {{0}};
    ratoon_status status = q->driver->ops->run_get(q->driver, run, &root, &q->error);
    return answer_id(q, status, root);
}

static ratoon_status serve_claim_get(request *q)
{
    const char *name = ratoon__frame_get_text(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    ratoon_id holder = {{0}};
    ratoon_status status = q->driver->ops->claim_get(q->driver, name, &holder, &q->error);
    return answer_id(q, status, holder);
}

static ratoon_status serve_value_get(request *q)
{
    ratoon_digest digest = ratoon__frame_get_digest(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    ratoon_buffer value = {0};
    ratoon_status status = q->driver->ops->value_get(q->driver, &digest, &value, &q->error);
    if (status == RATOON_OK) {
        ratoon__frame_writer w = answer(q);
        ratoon__frame_put_bytes(&w, value.data, value.size);
        status = ratoon__frame_finish(&w, &q->error);
        ratoon_buffer_free(&value);
    }
    return status;
}

static ratoon_status serve_snapshot_get(request *q)
{
    ratoon_id lineage = ratoon__frame_get_id(&q->fields);
    uint64_t number = ratoon__frame_get_u64(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    uint64_t at = 0;
    ratoon_buffer snapshot = {0};
    ratoon_status status =
        q->driver->ops->snapshot_get(q->driver, lineage, number, &at, &snapshot, &q->error);
    if (status == RATOON_OK) {
        ratoon__frame_writer w = answer(q);
        ratoon__frame_put_u64(&w, at);
        ratoon__frame_put_bytes(&w, snapshot.data, snapshot.size);
        status = ratoon__frame_finish(&w, &q->error);
        ratoon_buffer_free(&snapshot);
    }
    return status;
}

static ratoon_status serve_snapshot_put(request *q)
{
    ratoon_id lineage = ratoon__frame_get_id(&q->fields);
    uint64_t number = ratoon__frame_get_u64(&q->fields);
    size_t size;
    const void *data = ratoon__frame_get_bytes(&q->fields, &size);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    return answer_number(
        q, q->driver->ops->snapshot_put(q->driver, lineage, number, data, size, &q->error), 0);
}

static ratoon_status unsupported(request *q, const char *what)
{
    return ratoon__fail(&q->error, RATOON_ERR_UNSUPPORTED, "this kind of store can't %s", what);
}

static ratoon_status serve_sweep(request *q)
{
    size_t size;
    uint64_t end = ratoon__frame_get_u64(&q->fields);
    const void *digests = ratoon__frame_get_bytes(&q->fields, &size);
    q->fields.bad |= size % sizeof(ratoon_digest) != 0;
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    if (q->driver->ops->sweep == NULL) {
        return unsupported(q, "sweep values");
    }
    uint64_t count = 0;
    uint64_t bytes = 0;
    ratoon_status status = q->driver->ops->sweep(q->driver, digests, size / sizeof(ratoon_digest),
                                                 end, &count, &bytes, &q->error);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__frame_writer w = answer(q);
    ratoon__frame_put_u64(&w, count);
    ratoon__frame_put_u64(&w, bytes);
    return ratoon__frame_finish(&w, &q->error);
}

static ratoon_status serve_checkpoint(request *q)
{
    const char *path = ratoon__frame_get_text(&q->fields);
    if (!ratoon__frame_done(&q->fields)) {
        return RATOON_OK;
    }
    if (q->driver->ops->checkpoint == NULL) {
        return unsupported(q, "be copied");
    }
    uint64_t position = 0;
    ratoon_status status = q->driver->ops->checkpoint(q->driver, path, &position, &q->error);
    return answer_number(q, status, position);
}

typedef ratoon_status serve_fn(request *q);

/* A request whose fields aren't what they must be returns with fields not done. */
static serve_fn *const serve_table[RATOON__FRAME_OP_END] = {
    [RATOON__FRAME_HELLO] = serve_hello,
    [RATOON__FRAME_HEAD] = serve_head,
    [RATOON__FRAME_READ] = serve_read,
    [RATOON__FRAME_END] = serve_end,
    [RATOON__FRAME_VALUE_GET] = serve_value_get,
    [RATOON__FRAME_VALUES] = serve_values,
    [RATOON__FRAME_RUN_GET] = serve_run_get,
    [RATOON__FRAME_LIST] = serve_list,
    [RATOON__FRAME_CLAIM_GET] = serve_claim_get,
    [RATOON__FRAME_CLAIMS] = serve_claims,
    [RATOON__FRAME_SNAPSHOT_GET] = serve_snapshot_get,
    [RATOON__FRAME_SNAPSHOT_PUT] = serve_snapshot_put,
    [RATOON__FRAME_SWEEP] = serve_sweep,
    [RATOON__FRAME_CHECKPOINT] = serve_checkpoint,
    [RATOON__FRAME_HEADS] = serve_heads,
};

bool ratoon__serve(ratoon__driver *d, const ratoon__frame_head *head, const void *frame,
                   ratoon__buf *out)
{
    serve_fn *serve = serve_table[head->op];
    if (serve == NULL) {
        return false;
    }
    request q = {
        .driver = d,
        .head = head,
        .fields = ratoon__frame_fields(frame, head->size),
        .out = out,
    };
    size_t start = out->size;
    ratoon_status status = serve(&q);
    if (!ratoon__frame_done(&q.fields)) {
        return false;
    }
    if (status != RATOON_OK) {
        out->size = start;
        return ratoon__serve_error(head, status, &q.error, out);
    }
    return true;
}

bool ratoon__serve_tail(ratoon__driver *d, uint64_t id, uint64_t from, ratoon__buf *out,
                        bool *served)
{
    const ratoon__frame_head head = {.op = RATOON__FRAME_TAIL, .id = id};
    request q = {.driver = d, .head = &head, .out = out};
    size_t start = out->size;
    page p = page_begin(&q);
    ratoon_status status = d->ops->tail(d, from, 0, add_commit, &p, &q.error);
    *served = status != RATOON_ERR_TIMED_OUT;
    if (status == RATOON_OK) {
        status = ratoon__frame_page_finish(&p.page, p.more, &q.error);
    }
    if (status != RATOON_OK) {
        out->size = start;
        return !*served || ratoon__serve_error(&head, status, &q.error, out);
    }
    return true;
}
