/* Lists: of runs, in one order everywhere (L09), and of claims. */
#include "log/rocksdb_impl.h"

#include <rocksdb/c.h>

#include <string.h>

enum { LIST_MAX = 1000 };

/* Where a query's entries begin; *prefix_size: how much of the key all of them share. */
static ratoon_status start_key(const ratoon__list_query *q, ratoon__buf *key, size_t *prefix_size,
                               ratoon_error *error)
{
    uint8_t status = 0;
    switch (q->index) {
    case RATOON__INDEX_ID:
        ratoon__index_prefix(q->index, q->from_id.bytes, sizeof q->from_id.bytes, key);
        *prefix_size = 1;
        return RATOON_OK;
    case RATOON__INDEX_STATUS:
        status = (uint8_t)ratoon_run_status_parse(q->key == NULL ? "" : q->key);
        if (status == 0) {
            return ratoon__fail(error, RATOON_ERR_USAGE, "%s is no status of a run", q->key);
        }
        ratoon__index_prefix(q->index, &status, 1, key);
        break;
    case RATOON__INDEX_SUBJECT:
    case RATOON__INDEX_PIPELINE:
        if (q->key == NULL) {
            return ratoon__fail(error, RATOON_ERR_USAGE, "a list needs to know of what");
        }
        ratoon__index_prefix(q->index, q->key, strlen(q->key) + 1, key);
        break;
    case RATOON__INDEX_TIME:
        ratoon__index_prefix(q->index, NULL, 0, key);
        break;
    default:
        return ratoon__fail(error, RATOON_ERR_USAGE, "there is no index %d", (int)q->index);
    }
    *prefix_size = key->size;
    if (q->before_time != 0) {
        ratoon__index_suffix(q->before_time, q->before_id, key);
    }
    return RATOON_OK;
}

static ratoon_status show_row(ratoon__rocks *r, const rocksdb_readoptions_t *options, ratoon_id run,
                              ratoon__row_fn fn, void *ctx, bool *stop, ratoon_error *error)
{
    uint8_t key[17] = {'r'};
    memcpy(key + 1, run.bytes, sizeof run.bytes);
    char *message = NULL;
    rocksdb_pinnableslice_t *found = rocksdb_get_pinned_cf(
        r->db, options, r->family[RATOON__FAMILY_DERIVED], (const char *)key, sizeof key, &message);
    if (message != NULL) {
        return ratoon__rocks_error(message, "can't read the row of a run", error);
    }
    size_t size = 0;
    ratoon__run_row row;
    const char *bytes = found == NULL ? NULL : rocksdb_pinnableslice_value(found, &size);
    ratoon_status status = RATOON_OK;
    if (bytes == NULL || !ratoon__row_decode(bytes, size, run, &row)) {
        status = ratoon__fail(error, RATOON_ERR_DAMAGED, "the row of run %I is missing or garbled",
                              &run);
    } else {
        *stop = !fn(ctx, &row);
    }
    if (found != NULL) {
        rocksdb_pinnableslice_destroy(found);
    }
    return status;
}

static ratoon_status scan(ratoon__rocks *r, const rocksdb_readoptions_t *options,
                          const ratoon__list_query *q, const ratoon__buf *start, size_t prefix_size,
                          ratoon__row_fn fn, void *ctx, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    bool stop = false;
    uint32_t shown = 0;
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, options, r->family[RATOON__FAMILY_DERIVED]);
    for (rocksdb_iter_seek(it, start->data, start->size);
         status == RATOON_OK && !stop && shown < q->limit && rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        size_t size;
        ratoon_id run;
        const char *key = rocksdb_iter_key(it, &size);
        if (size < prefix_size || memcmp(key, start->data, prefix_size) != 0) {
            break;
        }
        /* "Strictly before": the entry that the caller stopped at is where the seek may land. */
        if (q->index != RATOON__INDEX_ID && size == start->size &&
            memcmp(key, start->data, size) == 0) {
            continue;
        }
        if (!ratoon__index_entry_run(q->index, key, size, prefix_size, &run)) {
            status = ratoon__fail(error, RATOON_ERR_DAMAGED, "an entry of an index is garbled");
        } else {
            status = show_row(r, options, run, fn, ctx, &stop, error);
            shown++;
        }
    }
    if (status == RATOON_OK && !stop && !rocksdb_iter_valid(it)) {
        char *message = NULL;
        rocksdb_iter_get_error(it, &message);
        if (message != NULL) {
            status = ratoon__rocks_error(message, "can't list runs", error);
        }
    }
    rocksdb_iter_destroy(it);
    return status;
}

/* Writing what is pending first makes merging it into the scan unnecessary. */
ratoon_status ratoon__rocks_list(ratoon__driver *d, const ratoon__list_query *query,
                                 ratoon__row_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    ratoon__buf start = {0};
    size_t prefix_size = 0;
    if (query->limit < 1 || query->limit > LIST_MAX) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a list has 1 to %d rows, not %u", LIST_MAX,
                            query->limit);
    }
    ratoon_status status = start_key(query, &start, &prefix_size, error);
    if (status == RATOON_OK && (start.failed || start.data == NULL)) {
        ratoon__buf_free(&start);
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    if (status == RATOON_OK) {
        status = ratoon__rocks_flush_derived(r, error);
    }
    if (status == RATOON_OK) {
        /* One view for index and rows, whatever is written meanwhile. */
        const rocksdb_snapshot_t *view = rocksdb_create_snapshot(r->db);
        rocksdb_readoptions_t *options = rocksdb_readoptions_create();
        rocksdb_readoptions_set_snapshot(options, view);
        rocksdb_readoptions_set_total_order_seek(options, 1);
        status = scan(r, options, query, &start, prefix_size, fn, ctx, error);
        rocksdb_readoptions_destroy(options);
        rocksdb_release_snapshot(r->db, view);
    }
    ratoon__buf_free(&start);
    return status;
}

/* Calls fn for an entry's name, which has no NUL behind it where it lies. */
static ratoon_status show_claim(const char *name, size_t size, const void *holder,
                                ratoon__buf *scratch, ratoon__claim_fn fn, void *ctx, bool *stop,
                                ratoon_error *error)
{
    scratch->size = 0;
    ratoon__buf_add(scratch, name, size);
    if (scratch->failed) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_id id;
    memcpy(id.bytes, holder, sizeof id.bytes);
    *stop = !fn(ctx, scratch->data, id);
    return RATOON_OK;
}

ratoon_status ratoon__rocks_claims(ratoon__driver *d, const char *prefix, const char *after,
                                   ratoon__claim_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    ratoon_status status = ratoon__rocks_flush_derived(r, error);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__buf start = {0};
    ratoon__buf scratch = {0};
    size_t prefix_size = strlen(prefix);
    size_t after_size = strlen(after);
    ratoon__buf_add(&start, "c", 1);
    /* Right behind `after`: no name is shorter than that name with a NUL. */
    bool goes_on = after_size > 0 && strcmp(after, prefix) >= 0;
    ratoon__buf_add(&start, goes_on ? after : prefix, goes_on ? after_size + 1 : prefix_size);
    if (start.failed) {
        ratoon__buf_free(&start);
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    bool stop = false;
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, r->scan_options, r->family[RATOON__FAMILY_DERIVED]);
    rocksdb_iter_seek(it, start.data, start.size);
    for (uint32_t shown = 0;
         status == RATOON_OK && !stop && shown < RATOON__CLAIMS_PAGE && rocksdb_iter_valid(it);
         shown++, rocksdb_iter_next(it)) {
        size_t size;
        size_t holder_size;
        const char *key = rocksdb_iter_key(it, &size);
        const char *holder = rocksdb_iter_value(it, &holder_size);
        if (size < 1 + prefix_size || key[0] != 'c' || memcmp(key + 1, prefix, prefix_size) != 0) {
            break;
        }
        status = holder_size != sizeof(ratoon_id)
                     ? ratoon__fail(error, RATOON_ERR_DAMAGED, "a claim is garbled")
                     : show_claim(key + 1, size - 1, holder, &scratch, fn, ctx, &stop, error);
    }
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    if (message != NULL) {
        ratoon_status failed = ratoon__rocks_error(message, "can't list claims", error);
        status = status == RATOON_OK ? failed : status;
    }
    rocksdb_iter_destroy(it);
    ratoon__buf_free(&scratch);
    ratoon__buf_free(&start);
    return status;
}
