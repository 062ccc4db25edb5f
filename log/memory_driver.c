/* The memory driver: a store without a disk, for tests and simulation. Callbacks are called without
 * the lock, so they may use the driver. */
#include "log/memory_driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIST_MAX = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

static ratoon_status memory_head(ratoon__driver *d, ratoon_id lineage, uint64_t *head,
                                 ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    (void)error;
    pthread_mutex_lock(&m->lock);
    const ratoon__map_node *node = ratoon__map_find(&m->heads, lineage.bytes, sizeof lineage.bytes);
    *head = node != NULL ? node->number : 0;
    pthread_mutex_unlock(&m->lock);
    return RATOON_OK;
}

static ratoon_status memory_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                 bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                 ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    (void)verify;
    (void)error;
    ratoon__memory_commit_key(key, lineage, from);
    pthread_mutex_lock(&m->lock);
    /* What is appended meanwhile is not shown, as with a driver that reads a snapshot. */
    const uint64_t end = m->feed_count;
    const ratoon__map_node *node = ratoon__map_seek(&m->commits, key, sizeof key, false);
    pthread_mutex_unlock(&m->lock);
    while (node != NULL) {
        const ratoon__memory_commit *c = node->value;
        if (one_lineage && !ratoon_id_equal(c->lineage, lineage)) {
            break;
        }
        if (c->position <= end &&
            !fn(ctx, c->position, c->lineage, c->number, c->data, (size_t)c->size)) {
            break;
        }
        pthread_mutex_lock(&m->lock);
        node = node->next[0]; /* also of a node that was taken out meanwhile */
        pthread_mutex_unlock(&m->lock);
    }
    return RATOON_OK;
}

static struct timespec deadline_after(uint32_t timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * NS_PER_MS;
    if (at.tv_nsec >= NS_PER_S) {
        at.tv_nsec -= NS_PER_S;
        at.tv_sec++;
    }
    return at;
}

/* The commit at a position, or NULL. */
static const ratoon__memory_commit *at_position(ratoon__memory *m, uint64_t position)
{
    pthread_mutex_lock(&m->lock);
    const ratoon__memory_commit *c = position <= m->feed_count ? m->feed[position - 1] : NULL;
    pthread_mutex_unlock(&m->lock);
    return c;
}

/* The first position from there on that isn't a hole; with the lock held. */
static uint64_t after_holes(const ratoon__memory *m, uint64_t from)
{
    while (from <= m->feed_count && m->feed[from - 1] == NULL) {
        from++;
    }
    return from;
}

static ratoon_status memory_tail(ratoon__driver *d, uint64_t from, uint32_t timeout_ms,
                                 ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    const struct timespec deadline = deadline_after(timeout_ms);
    int waited = 0;
    if (from == 0) {
        from = 1;
    }
    pthread_mutex_lock(&m->lock);
    from = after_holes(m, from);
    while (m->feed_count < from && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&m->moved, &m->lock, &deadline);
        from = after_holes(m, from);
    }
    const uint64_t end = m->feed_count;
    pthread_mutex_unlock(&m->lock);
    if (end < from) {
        return ratoon__fail(error, RATOON_ERR_TIMED_OUT, "no commit at position %U or after it yet",
                            from);
    }
    for (uint64_t position = from; position <= end; position++) {
        const ratoon__memory_commit *c = at_position(m, position);
        if (c != NULL && !fn(ctx, position, c->lineage, c->number, c->data, (size_t)c->size)) {
            break;
        }
    }
    return RATOON_OK;
}

static ratoon_status memory_end(ratoon__driver *d, uint64_t *position, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    (void)error;
    pthread_mutex_lock(&m->lock);
    *position = m->feed_count + 1;
    pthread_mutex_unlock(&m->lock);
    return RATOON_OK;
}

/* A copy of bytes that don't change; with the lock held or not. */
static ratoon_status give(const ratoon__memory_bytes *bytes, ratoon_buffer *out,
                          ratoon_error *error)
{
    char *copy = malloc(bytes->size + 1);
    if (copy == NULL) {
        return no_memory(error);
    }
    memcpy(copy, bytes->data, bytes->size);
    copy[bytes->size] = '\0';
    *out = (ratoon_buffer){.data = copy, .size = bytes->size};
    return RATOON_OK;
}

static ratoon_status memory_value_get(ratoon__driver *d, const ratoon_digest *digest,
                                      ratoon_buffer *out, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    pthread_mutex_lock(&m->lock);
    const ratoon__map_node *node =
        ratoon__map_find(&m->values, digest->bytes, sizeof digest->bytes);
    pthread_mutex_unlock(&m->lock);
    return node != NULL
               ? give(node->value, out, error)
               : ratoon__fail(error, RATOON_ERR_NOT_FOUND, "the store holds no such value");
}

static ratoon_status memory_values_from(ratoon__driver *d, const ratoon_digest *from,
                                        ratoon__digest_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    (void)error;
    pthread_mutex_lock(&m->lock);
    const ratoon__map_node *node =
        ratoon__map_seek(&m->values, from->bytes, sizeof from->bytes, false);
    pthread_mutex_unlock(&m->lock);
    while (node != NULL) {
        const ratoon__memory_bytes *bytes = node->value;
        ratoon_digest digest;
        memcpy(digest.bytes, node->key, sizeof digest.bytes);
        if (!fn(ctx, &digest, bytes->data, bytes->size)) {
            break;
        }
        pthread_mutex_lock(&m->lock);
        node = node->next[0]; /* also of a node that was taken out meanwhile */
        pthread_mutex_unlock(&m->lock);
    }
    return RATOON_OK;
}

static ratoon_status memory_values(ratoon__driver *d, ratoon__digest_fn fn, void *ctx,
                                   ratoon_error *error)
{
    const ratoon_digest first = {{0}};
    return memory_values_from(d, &first, fn, ctx, error);
}

static ratoon_status memory_run_get(ratoon__driver *d, ratoon_id run, ratoon_id *root,
                                    ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    pthread_mutex_lock(&m->lock);
    const ratoon__map_node *node = ratoon__map_find(&m->rows, run.bytes, sizeof run.bytes);
    if (node != NULL) {
        *root = ((const ratoon__run_row *)node->value)->root;
    }
    pthread_mutex_unlock(&m->lock);
    return node != NULL ? RATOON_OK
                        : ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %I", &run);
}

static ratoon_status memory_claim_get(ratoon__driver *d, const char *name, ratoon_id *holder,
                                      ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    pthread_mutex_lock(&m->lock);
    const ratoon__map_node *node = ratoon__map_find(&m->claims, name, strlen(name));
    if (node != NULL) {
        *holder = *(const ratoon_id *)node->value;
    }
    pthread_mutex_unlock(&m->lock);
    return node != NULL ? RATOON_OK
                        : ratoon__fail(error, RATOON_ERR_NOT_FOUND, "nobody holds '%s'", name);
}

static ratoon_status memory_claims(ratoon__driver *d, const char *prefix, const char *after,
                                   ratoon__claim_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    bool on = after[0] != '\0';
    const char *start = on ? after : prefix;
    size_t size = strlen(prefix);
    (void)error;
    pthread_mutex_lock(&m->lock);
    const ratoon__map_node *node = ratoon__map_seek(&m->claims, start, strlen(start), on);
    for (unsigned n = 0; node != NULL && n < RATOON__CLAIMS_PAGE; n++, node = node->next[0]) {
        char name[RATOON__CLAIM_NAME_MAX + 1];
        if (node->key_size < size || memcmp(node->key, prefix, size) != 0 ||
            node->key_size >= sizeof name) {
            break;
        }
        memcpy(name, node->key, node->key_size);
        name[node->key_size] = '\0';
        if (!fn(ctx, name, *(const ratoon_id *)node->value)) {
            break;
        }
    }
    pthread_mutex_unlock(&m->lock);
    return RATOON_OK;
}

/* ---- snapshots: by inverted number, so that the newest before some commit comes first ---- */

static ratoon_status memory_snapshot_get(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                         uint64_t *at, ratoon_buffer *out, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    ratoon__memory_commit_key(key, lineage, ~number);
    pthread_mutex_lock(&m->lock);
    const ratoon__map_node *node = ratoon__map_seek(&m->snapshots, key, sizeof key, false);
    ratoon_status status = RATOON_ERR_NOT_FOUND;
    if (node != NULL && memcmp(node->key, lineage.bytes, sizeof lineage.bytes) == 0) {
        status = give(node->value, out, error);
        if (status == RATOON_OK) {
            *at = node->number;
        }
    } else {
        ratoon__fail(error, status, "the lineage has no snapshot");
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

/* Whether the lineage was deleted up to that commit and beyond; with the lock held. */
static bool is_erased(const ratoon__memory *m, ratoon_id lineage, uint64_t number)
{
    const ratoon__map_node *head = ratoon__map_find(&m->heads, lineage.bytes, sizeof lineage.bytes);
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    ratoon__memory_commit_key(key, lineage, number);
    return head != NULL && head->number > number &&
           ratoon__map_find(&m->commits, key, sizeof key) == NULL;
}

static ratoon_status memory_snapshot_put(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                         const void *data, size_t size, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    ratoon__memory_bytes *bytes = malloc(sizeof *bytes + size);
    if (bytes == NULL) {
        return no_memory(error);
    }
    bytes->size = size;
    if (size > 0) {
        memcpy(bytes->data, data, size);
    }
    ratoon__memory_commit_key(key, lineage, ~number);
    pthread_mutex_lock(&m->lock);
    ratoon__map_node *node = ratoon__map_find(&m->snapshots, key, sizeof key);
    ratoon_status status = RATOON_OK;
    if (is_erased(m, lineage, number)) {
        free(bytes);
    } else if (node != NULL) {
        free(node->value);
        node->value = bytes;
    } else if ((node = ratoon__map_node_new(&m->seed, key, sizeof key, bytes)) != NULL) {
        node->number = number;
        ratoon__map_put(&m->snapshots, node);
    } else {
        free(bytes);
        status = no_memory(error);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

/* ---- lists ---- */

static bool list_start(const ratoon__list_query *q, ratoon__buf *key, size_t *prefix_size)
{
    uint8_t order[RATOON__MEMORY_ORDER_KEY];
    const char *text = q->index == RATOON__INDEX_TIME ? "" : q->key;
    ratoon__memory_index_key(key, q->index, text, NULL, 0);
    *prefix_size = key->size;
    if (q->before_time != 0) {
        ratoon__memory_order_key(order, q->before_time, q->before_id);
        ratoon__buf_add(key, order, sizeof order);
    }
    return !key->failed;
}

static bool copy_row(const ratoon__run_row *row, ratoon__arena *arena, ratoon__run_row *out)
{
    *out = *row;
    out->subject = ratoon__arena_strdup(arena, row->subject);
    out->pipeline = ratoon__arena_strdup(arena, row->pipeline);
    return out->subject != NULL && out->pipeline != NULL;
}

/* Copies of the rows, since an append may replace them; with the lock held. */
static ratoon_status list_copy(const ratoon__memory *m, const ratoon__list_query *q,
                               ratoon__arena *arena, ratoon__run_row *rows, uint32_t *count)
{
    const bool by_id = q->index == RATOON__INDEX_ID;
    ratoon__buf key = {0};
    size_t prefix_size = 0;
    const ratoon__map_node *node = NULL;
    ratoon_status status = RATOON_OK;
    if (by_id) {
        node = ratoon__map_seek(&m->rows, q->from_id.bytes, sizeof q->from_id.bytes, false);
    } else if (list_start(q, &key, &prefix_size)) {
        node = ratoon__map_seek(&m->index, key.data, key.size, true);
    } else {
        status = RATOON_ERR_NO_MEMORY;
    }
    for (; node != NULL && *count < q->limit && status == RATOON_OK; node = node->next[0]) {
        if (!by_id &&
            (node->key_size < prefix_size || memcmp(node->key, key.data, prefix_size) != 0)) {
            break;
        }
        if (!copy_row(node->value, arena, &rows[*count])) {
            status = RATOON_ERR_NO_MEMORY;
        }
        (*count)++;
    }
    ratoon__buf_free(&key);
    return status;
}

ratoon_status ratoon__memory_list(ratoon__driver *d, const ratoon__list_query *query,
                                  ratoon__row_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    const bool keyed = query->index == RATOON__INDEX_STATUS ||
                       query->index == RATOON__INDEX_SUBJECT ||
                       query->index == RATOON__INDEX_PIPELINE;
    if (query->limit < 1 || query->limit > LIST_MAX || query->index < RATOON__INDEX_TIME ||
        query->index > RATOON__INDEX_ID || (keyed && query->key == NULL) ||
        (query->index == RATOON__INDEX_STATUS && ratoon_run_status_parse(query->key) == 0)) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "a list needs an index, its key, and a limit of 1 to %d", LIST_MAX);
    }
    ratoon__arena arena = {0};
    ratoon__run_row *rows = ratoon__arena_alloc(&arena, query->limit * sizeof *rows);
    uint32_t count = 0;
    ratoon_status status = RATOON_ERR_NO_MEMORY;
    if (rows != NULL) {
        pthread_mutex_lock(&m->lock);
        status = list_copy(m, query, &arena, rows, &count);
        pthread_mutex_unlock(&m->lock);
    }
    for (uint32_t i = 0; status == RATOON_OK && i < count && fn(ctx, &rows[i]); i++) {
    }
    ratoon__arena_free(&arena);
    return status == RATOON_OK ? status : no_memory(error);
}

/* ---- the driver ---- */

static void memory_watch(ratoon__driver *d, int eventfd)
{
    ratoon__memory *m = ratoon__memory_of(d);
    pthread_mutex_lock(&m->lock);
    m->eventfd = eventfd;
    pthread_mutex_unlock(&m->lock);
}

static void memory_close(ratoon__driver *d)
{
    ratoon__memory *m = ratoon__memory_of(d);
    ratoon__map_free(&m->commits, true);
    ratoon__map_free(&m->heads, false);
    ratoon__map_free(&m->values, true);
    ratoon__map_free(&m->claims, true);
    ratoon__map_free(&m->rows, true);
    ratoon__map_free(&m->index, false);
    ratoon__map_free(&m->snapshots, true);
    ratoon__memory_erased_free(m);
    free(m->feed);
    pthread_cond_destroy(&m->moved);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const ratoon__driver_ops memory_ops = {
    .name = "memory",
    .append = ratoon__memory_append,
    .head = memory_head,
    .heads = ratoon__memory_heads,
    .read = memory_read,
    .tail = memory_tail,
    .end = memory_end,
    .value_get = memory_value_get,
    .values = memory_values,
    .values_from = memory_values_from,
    .run_get = memory_run_get,
    .list = ratoon__memory_list,
    .claim_get = memory_claim_get,
    .claims = memory_claims,
    .snapshot_get = memory_snapshot_get,
    .snapshot_put = memory_snapshot_put,
    .sweep = ratoon__memory_sweep,
    .watch = memory_watch,
    .close = memory_close,
};

ratoon_status ratoon__memory_open(const ratoon__driver_options *options, ratoon__driver **out,
                                  ratoon_error *error)
{
    ratoon__memory *m = calloc(1, sizeof *m);
    pthread_condattr_t attributes;
    if (m == NULL) {
        return no_memory(error);
    }
    m->base.ops = &memory_ops;
    m->eventfd = -1;
    if (options != NULL) {
        m->options = *options;
    }
    if (m->options.value_max == 0) {
        m->options.value_max = RATOON_VALUE_MAX_DEFAULT;
    }
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&m->moved, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = &m->base;
    return RATOON_OK;
}

void ratoon__memory_fail_append(ratoon__driver *d, uint64_t n, ratoon_status status)
{
    ratoon__memory *m = ratoon__memory_of(d);
    pthread_mutex_lock(&m->lock);
    m->fail_in = n;
    m->fail_with = status;
    pthread_mutex_unlock(&m->lock);
}

void ratoon__memory_hold(ratoon__driver *d, bool hold)
{
    ratoon__memory *m = ratoon__memory_of(d);
    pthread_mutex_lock(&m->lock);
    m->held = hold;
    pthread_cond_broadcast(&m->moved);
    pthread_mutex_unlock(&m->lock);
}
