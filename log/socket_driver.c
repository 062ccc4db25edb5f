/* The client of a store that another process owns: every operation is a request to it. */
#include "log/monotonic.h"
#include "log/socket_address.h"
#include "log/socket_client.h"
#include "log/socket_exchange.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS_DEFAULT 5000
#define TAIL_GRACE_MS 200                             /* for the owner's own TIMED_OUT to come */
#define ANSWER_ERROR_MAX (sizeof(ratoon_error) + 256) /* bytes of an answer that is an error… */
#define ANSWER_RESULT_MAX ((size_t)64)                /* …and for each append where it is none */
#define GROUP_BYTES_MAX ((size_t)64 << 20) /* of appends in one request; at least one goes in */

/* ---- appending ---- */

static size_t append_bytes(const ratoon__append *a)
{
    size_t size = a->size;
    for (size_t i = 0; i < a->values_count; i++) {
        size += a->values[i].size;
    }
    return size;
}

static ratoon_status append_some(ratoon__driver *d, ratoon__append *appends, size_t count,
                                 bool sync, ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_APPEND);
    ratoon__frame_put_group(&x.writer, appends, count, sync);
    /* Once it is sent nothing may fail but the connection: else what was stored would be refused.
     */
    ratoon__buf_reserve(&x.answer, ANSWER_ERROR_MAX + count * ANSWER_RESULT_MAX);
    ratoon_status status =
        x.answer.failed ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory for an append")
                        : ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error);
    if (status == RATOON_OK) {
        ratoon__frame_get_results(&x.fields, appends, count);
    }
    return ratoon__exchange_end(&x, status, error);
}

/* A group that is too large for one request goes in several, each written whole. Once the first one
 * is stored, what fails later is the result of those it hit, and not the group's. What rests on an
 * append that an earlier request was refused is not asked for at all. */
static ratoon_status socket_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                   bool sync, ratoon_error *error)
{
    for (size_t i = 0; i < count; i++) {
        appends[i].status = RATOON_OK; /* not refused so far */
    }
    for (size_t first = 0; first < count;) {
        if (ratoon__append_rests_on_refused(appends, first)) {
            appends[first++].status = RATOON_ERR_CONFLICT;
            continue;
        }
        size_t end = first + 1;
        size_t bytes = append_bytes(&appends[first]);
        while (end < count && bytes + append_bytes(&appends[end]) <= GROUP_BYTES_MAX &&
               (first == 0 || !ratoon__append_rests_on_refused(appends, end))) {
            bytes += append_bytes(&appends[end++]);
        }
        ratoon_status status = append_some(d, appends + first, end - first, sync, error);
        bool lost = status == RATOON_ERR_STORE_BUSY && ratoon__socket_is_lost(d);
        if (status != RATOON_OK && (first == 0 || lost)) {
            return status;
        }
        for (size_t i = first; status != RATOON_OK && i < end; i++) {
            appends[i].status = status;
        }
        first = end;
    }
    return RATOON_OK;
}

/* ---- pages ---- */

static int compare_keys(ratoon_id a, uint64_t a_number, ratoon_id b, uint64_t b_number)
{
    int order = memcmp(a.bytes, b.bytes, sizeof a.bytes);
    return order != 0 ? order : a_number < b_number ? -1 : a_number > b_number;
}

static ratoon_status socket_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                 bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                 ratoon_error *error)
{
    bool more = true;
    ratoon_status status = RATOON_OK;
    while (more && status == RATOON_OK) {
        ratoon__exchange x;
        ratoon__exchange_begin(&x, d, RATOON__FRAME_READ);
        ratoon__frame_put_id(&x.writer, lineage);
        ratoon__frame_put_u64(&x.writer, from);
        ratoon__frame_put_u64(&x.writer, one_lineage);
        ratoon__frame_put_u64(&x.writer, verify);
        status = ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error);
        uint64_t count;
        ratoon__frame_page_head(&x.fields, &count, &more);
        x.fields.bad |= more && count == 0;
        for (uint64_t i = 0; i < count; i++) {
            ratoon__frame_commit commit;
            ratoon__frame_get_commit(&x.fields, &commit);
            x.fields.bad |= compare_keys(commit.lineage, commit.number, lineage, from) < 0;
            if (x.fields.bad) {
                break;
            }
            lineage = commit.lineage;
            from = commit.number + 1;
            if (!fn(ctx, commit.position, commit.lineage, commit.number, commit.data,
                    commit.size)) {
                x.fields.at = x.fields.size; /* the rest isn't wanted */
                more = false;
                break;
            }
        }
        status = ratoon__exchange_end(&x, status, error);
    }
    return status;
}

/* One page of the feed; *from becomes the position behind it. */
static ratoon_status tail_page(ratoon__driver *d, uint64_t *from, uint32_t timeout_ms,
                               ratoon__commit_fn fn, void *ctx, bool *more, ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_TAIL);
    ratoon__frame_put_u64(&x.writer, *from);
    ratoon__frame_put_u64(&x.writer, timeout_ms);
    ratoon_status status =
        ratoon__exchange_ask(&x, ratoon__monotonic_ms() + timeout_ms + TAIL_GRACE_MS, error);
    uint64_t count;
    ratoon__frame_page_head(&x.fields, &count, more);
    x.fields.bad |= *more && count == 0;
    for (uint64_t i = 0; i < count; i++) {
        ratoon__frame_commit commit;
        ratoon__frame_get_commit(&x.fields, &commit);
        x.fields.bad |= commit.position < *from;
        if (x.fields.bad) {
            break;
        }
        *from = commit.position + 1;
        if (!fn(ctx, commit.position, commit.lineage, commit.number, commit.data, commit.size)) {
            x.fields.at = x.fields.size;
            *more = false;
            break;
        }
    }
    return ratoon__exchange_end(&x, status, error);
}

static ratoon_status socket_tail(ratoon__driver *d, uint64_t from, uint32_t timeout_ms,
                                 ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    bool more = false;
    ratoon_status status = tail_page(d, &from, timeout_ms, fn, ctx, &more, error);
    while (status == RATOON_OK && more) {
        status = tail_page(d, &from, 0, fn, ctx, &more, error);
        if (status == RATOON_ERR_TIMED_OUT) {
            return RATOON_OK; /* what came before is enough */
        }
    }
    return status;
}

/* The next digest in order; false behind the last. */
static bool digest_next(ratoon_digest *digest)
{
    for (size_t i = sizeof digest->bytes; i-- > 0;) {
        if (++digest->bytes[i] != 0) {
            return true;
        }
    }
    return false;
}

static ratoon_status socket_values_from(ratoon__driver *d, const ratoon_digest *start,
                                        ratoon__digest_fn fn, void *ctx, ratoon_error *error)
{
    ratoon_digest from = *start;
    bool more = true;
    ratoon_status status = RATOON_OK;
    while (more && status == RATOON_OK) {
        ratoon__exchange x;
        ratoon__exchange_begin(&x, d, RATOON__FRAME_VALUES);
        ratoon__frame_put_digest(&x.writer, &from);
        status = ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error);
        uint64_t count;
        ratoon__frame_page_head(&x.fields, &count, &more);
        x.fields.bad |= more && count == 0;
        for (uint64_t i = 0; i < count; i++) {
            size_t size;
            ratoon_digest digest = ratoon__frame_get_digest(&x.fields);
            const void *data = ratoon__frame_get_bytes(&x.fields, &size);
            x.fields.bad |= memcmp(digest.bytes, from.bytes, sizeof from.bytes) < 0;
            if (x.fields.bad) {
                break;
            }
            from = digest;
            bool last = !digest_next(&from);
            if (!fn(ctx, &digest, data, size) || last) {
                x.fields.at = x.fields.size;
                more = false;
                break;
            }
        }
        status = ratoon__exchange_end(&x, status, error);
    }
    return status;
}

static ratoon_status socket_values(ratoon__driver *d, ratoon__digest_fn fn, void *ctx,
                                   ratoon_error *error)
{
    return socket_values_from(d, &(const ratoon_digest){{0}}, fn, ctx, error);
}

/* Rows are given out once the whole answer is known to be good: so a call that is repeated has
 * given out nothing before. */
static ratoon_status socket_list(ratoon__driver *d, const ratoon__list_query *query,
                                 ratoon__row_fn fn, void *ctx, ratoon_error *error)
{
    if (query->index < RATOON__INDEX_TIME || query->index > RATOON__INDEX_ID) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "no such index: %d", (int)query->index);
    }
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_LIST);
    ratoon__frame_put_query(&x.writer, query);
    ratoon_status status = ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error);
    uint64_t count;
    bool more;
    ratoon__run_row row;
    ratoon__frame_page_head(&x.fields, &count, &more);
    ratoon__frame_reader rows = x.fields;
    for (uint64_t i = 0; i < count && !x.fields.bad; i++) {
        ratoon__frame_get_row(&x.fields, &row);
    }
    for (uint64_t i = 0; i < count && ratoon__frame_done(&x.fields); i++) {
        ratoon__frame_get_row(&rows, &row);
        if (!fn(ctx, &row)) {
            break;
        }
    }
    return ratoon__exchange_end(&x, status, error);
}

/* ---- single results ---- */

static ratoon_status socket_head(ratoon__driver *d, ratoon_id lineage, uint64_t *head,
                                 ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_HEAD);
    ratoon__frame_put_id(&x.writer, lineage);
    return ratoon__exchange_ask_number(&x, head, error);
}

static ratoon_status socket_end(ratoon__driver *d, uint64_t *position, ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_END);
    return ratoon__exchange_ask_number(&x, position, error);
}

static ratoon_status socket_run_get(ratoon__driver *d, ratoon_id run, ratoon_id *root,
                                    ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_RUN_GET);
    ratoon__frame_put_id(&x.writer, run);
    return ratoon__exchange_ask_id(&x, root, error);
}

static ratoon_status socket_claim_get(ratoon__driver *d, const char *name, ratoon_id *holder,
                                      ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_CLAIM_GET);
    ratoon__frame_put_text(&x.writer, name);
    return ratoon__exchange_ask_id(&x, holder, error);
}

/* Claims are given out once the whole answer is known to be good, as rows are. */
static ratoon_status socket_claims(ratoon__driver *d, const char *prefix, const char *after,
                                   ratoon__claim_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_CLAIMS);
    ratoon__frame_put_text(&x.writer, prefix);
    ratoon__frame_put_text(&x.writer, after);
    ratoon_status status = ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error);
    uint64_t count;
    bool more;
    ratoon__frame_page_head(&x.fields, &count, &more);
    ratoon__frame_reader claims = x.fields;
    for (uint64_t i = 0; i < count && !x.fields.bad; i++) {
        (void)ratoon__frame_get_text(&x.fields);
        (void)ratoon__frame_get_id(&x.fields);
    }
    for (uint64_t i = 0; i < count && ratoon__frame_done(&x.fields); i++) {
        const char *name = ratoon__frame_get_text(&claims);
        ratoon_id holder = ratoon__frame_get_id(&claims);
        if (!fn(ctx, name, holder)) {
            break;
        }
    }
    return ratoon__exchange_end(&x, status, error);
}

/* Reads bytes out of the answer into a buffer of their own. */
static ratoon_status take_bytes(ratoon__exchange *x, ratoon_status status, ratoon_buffer *out,
                                ratoon_error *error)
{
    size_t size;
    const void *bytes = ratoon__frame_get_bytes(&x->fields, &size);
    if (status != RATOON_OK || !ratoon__frame_done(&x->fields)) {
        return ratoon__exchange_end(x, status, error);
    }
    char *copy = malloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, bytes, size);
        copy[size] = '\0';
    }
    status = ratoon__exchange_end(x, status, error);
    if (copy == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory for %U bytes",
                            (uint64_t)size);
    }
    *out = (ratoon_buffer){.data = copy, .size = size};
    return status;
}

static ratoon_status socket_value_get(ratoon__driver *d, const ratoon_digest *digest,
                                      ratoon_buffer *out, ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_VALUE_GET);
    ratoon__frame_put_digest(&x.writer, digest);
    return take_bytes(&x, ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error), out, error);
}

static ratoon_status socket_snapshot_get(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                         uint64_t *at, ratoon_buffer *out, ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_SNAPSHOT_GET);
    ratoon__frame_put_id(&x.writer, lineage);
    ratoon__frame_put_u64(&x.writer, number);
    ratoon_status status = ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error);
    uint64_t found = ratoon__frame_get_u64(&x.fields);
    status = take_bytes(&x, status, out, error);
    if (status == RATOON_OK) {
        *at = found;
    }
    return status;
}

static ratoon_status socket_snapshot_put(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                         const void *data, size_t size, ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_SNAPSHOT_PUT);
    ratoon__frame_put_id(&x.writer, lineage);
    ratoon__frame_put_u64(&x.writer, number);
    ratoon__frame_put_bytes(&x.writer, data, size);
    return ratoon__exchange_ask_number(&x, NULL, error);
}

/* ---- opening and closing ---- */

static void socket_close(ratoon__driver *d)
{
    ratoon__socket_driver *s = (ratoon__socket_driver *)d;
    ratoon__connection_close(s->connection);
    free(s);
}

static const ratoon__driver_ops socket_ops = {
    .name = "socket",
    .append = socket_append,
    .head = socket_head,
    .heads = ratoon__socket_heads,
    .read = socket_read,
    .tail = socket_tail,
    .end = socket_end,
    .value_get = socket_value_get,
    .values = socket_values,
    .values_from = socket_values_from,
    .run_get = socket_run_get,
    .list = socket_list,
    .claim_get = socket_claim_get,
    .claims = socket_claims,
    .snapshot_get = socket_snapshot_get,
    .snapshot_put = socket_snapshot_put,
    .sweep = ratoon__socket_sweep,
    .checkpoint = ratoon__socket_checkpoint,
    .close = socket_close,
};

ratoon_status ratoon__socket_connect(const char *store_path, uint32_t timeout_ms,
                                     ratoon__driver **out, ratoon_error *error)
{
    int fd;
    const ratoon_status status = ratoon__socket_dial(store_path, &fd, error);
    return status == RATOON_OK ? ratoon__socket_greet(fd, timeout_ms, out, error) : status;
}

ratoon_status ratoon__socket_greet(int fd, uint32_t timeout_ms, ratoon__driver **out,
                                   ratoon_error *error)
{
    ratoon__socket_driver *s = calloc(1, sizeof *s);
    if (s == NULL) {
        close(fd);
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory for a connection");
    }
    s->base.ops = &socket_ops;
    ratoon_status status = ratoon__connection_open(fd, &s->connection, error);
    if (status != RATOON_OK) {
        free(s);
        return status;
    }
    ratoon__exchange x;
    ratoon__exchange_begin(&x, &s->base, RATOON__FRAME_HELLO);
    ratoon__frame_put_u64(&x.writer, RATOON__FRAME_MAGIC);
    ratoon__frame_put_u64(&x.writer, RATOON__FRAME_VERSION);
    status = ratoon__exchange_ask(&x, ratoon__monotonic_ms() + timeout_ms, error);
    (void)ratoon__frame_get_range(&x.fields, RATOON__FRAME_VERSION, RATOON__FRAME_VERSION);
    status = ratoon__exchange_end(&x, status, error);
    if (status != RATOON_OK) {
        socket_close(&s->base);
        return status;
    }
    *out = &s->base;
    return RATOON_OK;
}

ratoon_status ratoon__socket_open(const char *store_path, const ratoon__driver_options *options,
                                  ratoon__driver **out, ratoon_error *error)
{
    (void)options;
    return ratoon__socket_connect(store_path, CONNECT_MS_DEFAULT, out, error);
}

bool ratoon__socket_is_lost(const ratoon__driver *d)
{
    return ratoon__connection_is_lost(((const ratoon__socket_driver *)d)->connection);
}
