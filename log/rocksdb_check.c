/* Reading for verification: past the cache, with checksums, from one end to the other. */
#include "log/rocksdb_impl.h"

#include "log/sum.h"

#include <rocksdb/c.h>

#include <string.h>

enum {
    BATCH_COMMITS = 32, /* as many as RocksDB itself looks up together */
    BATCH_BYTES = 256 << 10,
};

static rocksdb_readoptions_t *options_of(const rocksdb_snapshot_t *view)
{
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(options, view);
    rocksdb_readoptions_set_total_order_seek(options, 1);
    rocksdb_readoptions_set_verify_checksums(options, 1);
    rocksdb_readoptions_set_fill_cache(options, 0);
    return options;
}

/* ---- commits ----
 * Each is looked up by its key as well, since an index or a filter may be damaged where the data is
 * not. Keys are looked up by the batch: those in one block share the reading of it, which is nearly
 * all that a look-up past the cache costs. */

typedef struct entry {
    uint8_t key[RATOON__COMMIT_KEY];
    size_t at, size; /* of the value, in the batch's bytes */
} entry;

typedef struct checking {
    ratoon__rocks *r;
    rocksdb_readoptions_t *options; /* one view for iteration and look-ups */
    ratoon__commit_fn fn;
    void *ctx;
    ratoon__buf bytes; /* values, each where 8 divides its place */
    entry entries[BATCH_COMMITS];
    size_t count;
    uintptr_t last_end; /* of the value before, in RocksDB's memory */
    bool stop;
    ratoon_error *error;
} checking;

/* Whether a value seems to begin a block: in one, only its key is between it and the one before. A
 * batch that ends with a block spares the next one from reading it again. */
static bool begins_block(const checking *c, const char *value)
{
    enum { KEY_MAX = 64 };
    return (uintptr_t)value - c->last_end > KEY_MAX;
}

static bool take(checking *c, const char *key, const char *value, size_t size)
{
    static const char padding[8];
    entry *e = &c->entries[c->count++];
    memcpy(e->key, key, sizeof e->key);
    e->at = c->bytes.size;
    e->size = size;
    ratoon__buf_add(&c->bytes, value, size);
    ratoon__buf_add(&c->bytes, padding, (8 - size % 8) % 8);
    return !c->bytes.failed;
}

static ratoon_status check_found(const checking *c, const entry *e,
                                 const rocksdb_pinnableslice_t *found)
{
    size_t size = 0;
    const char *bytes = found == NULL ? NULL : rocksdb_pinnableslice_value(found, &size);
    if (bytes != NULL && size == e->size && memcmp(bytes, c->bytes.data + e->at, size) == 0) {
        return RATOON_OK;
    }
    ratoon_id lineage;
    memcpy(lineage.bytes, e->key, sizeof lineage.bytes);
    return ratoon__fail(c->error, RATOON_ERR_DAMAGED,
                        "commit %U of lineage %I is found by iteration, but not by look-up",
                        ratoon__get_be64(e->key + sizeof lineage.bytes), &lineage);
}

static void give(checking *c, const entry *e)
{
    const char *value = c->bytes.data + e->at;
    ratoon_id lineage;
    memcpy(lineage.bytes, e->key, sizeof lineage.bytes);
    c->stop = !c->fn(c->ctx, ratoon__get_le64(value), lineage,
                     ratoon__get_be64(e->key + sizeof lineage.bytes), value + RATOON__POSITION_SIZE,
                     e->size - RATOON__POSITION_SIZE);
}

/* Looks up what was taken, and gives it as far as it is right. */
static ratoon_status check_batch(checking *c)
{
    const char *keys[BATCH_COMMITS];
    size_t sizes[BATCH_COMMITS];
    rocksdb_pinnableslice_t *found[BATCH_COMMITS] = {0};
    char *messages[BATCH_COMMITS] = {0};
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; i < c->count; i++) {
        keys[i] = (const char *)c->entries[i].key;
        sizes[i] = sizeof c->entries[i].key;
    }
    if (c->count > 0) {
        rocksdb_batched_multi_get_cf(c->r->db, c->options, c->r->family[RATOON__FAMILY_COMMITS],
                                     c->count, keys, sizes, found, messages, true);
    }
    for (size_t i = 0; i < c->count; i++) {
        const bool due = status == RATOON_OK && !c->stop;
        if (messages[i] != NULL && due) {
            status = ratoon__rocks_error(messages[i], "can't look up a commit", c->error);
        } else if (messages[i] != NULL) {
            rocksdb_free(messages[i]);
        } else if (due) {
            status = check_found(c, &c->entries[i], found[i]);
            if (status == RATOON_OK) {
                give(c, &c->entries[i]);
            }
        }
        if (found[i] != NULL) {
            rocksdb_pinnableslice_destroy(found[i]);
        }
    }
    c->count = 0;
    c->bytes.size = 0;
    return status;
}

static ratoon_status walk(checking *c, ratoon_id lineage, uint64_t from, bool one_lineage,
                          uint64_t bound)
{
    uint8_t start[RATOON__COMMIT_KEY];
    ratoon__commit_key(start, lineage, from);
    ratoon_status status = RATOON_OK;
    const char *flaw = NULL;
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(c->r->db, c->options, c->r->family[RATOON__FAMILY_COMMITS]);
    for (rocksdb_iter_seek(it, (const char *)start, sizeof start);
         status == RATOON_OK && !c->stop && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t size;
        const char *key, *value;
        if (!ratoon__rocks_commit_at(it, one_lineage ? &lineage : NULL, &key, &value, &size)) {
            break;
        }
        if (value == NULL) {
            flaw = RATOON__NO_COMMIT;
            break;
        }
        if (ratoon__get_le64(value) > bound) {
            continue;
        }
        if (c->count >= BATCH_COMMITS / 2 && begins_block(c, value)) {
            status = check_batch(c);
            if (status != RATOON_OK || c->stop) {
                break;
            }
        }
        c->last_end = (uintptr_t)value + size;
        if (!take(c, key, value, size)) {
            status = ratoon__fail(c->error, RATOON_ERR_NO_MEMORY, "out of memory");
        } else if (c->count == BATCH_COMMITS || c->bytes.size >= BATCH_BYTES) {
            status = check_batch(c);
        }
    }
    /* What stands before a flaw is given before it is told. */
    if (status == RATOON_OK && !c->stop) {
        status = check_batch(c);
    }
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    if (message != NULL && (status != RATOON_OK || c->stop)) {
        rocksdb_free(message);
    } else if (message != NULL) {
        status = ratoon__rocks_error(message, "can't read commits", c->error);
    } else if (flaw != NULL && status == RATOON_OK && !c->stop) {
        status = ratoon__fail(c->error, RATOON_ERR_DAMAGED, "%s", flaw);
    }
    rocksdb_iter_destroy(it);
    return status;
}

ratoon_status ratoon__rocks_read_checked(ratoon__rocks *r, ratoon_id lineage, uint64_t from,
                                         bool one_lineage, ratoon__commit_fn fn, void *ctx,
                                         ratoon_error *error)
{
    checking c = {.r = r, .fn = fn, .ctx = ctx, .error = error};
    /* The boundary first: what it admits is in the view. A lineage that is deleted meanwhile stays
     * in it, for iteration and for look-ups. */
    const uint64_t bound = atomic_load(&r->acked);
    const rocksdb_snapshot_t *view = rocksdb_create_snapshot(r->db);
    c.options = options_of(view);
    const ratoon_status status = walk(&c, lineage, from, one_lineage, bound);
    rocksdb_readoptions_destroy(c.options);
    rocksdb_release_snapshot(r->db, view);
    ratoon__buf_free(&c.bytes);
    return status;
}

/* ---- rows of runs ---- */

typedef struct rows_check {
    ratoon__row_fn fn;
    void *ctx;
    ratoon__sum_key key;
    ratoon__sum expected, found; /* of the keys in lists */
    ratoon__buf scratch;
    bool stop;
    ratoon_error *error;
} rows_check;

static ratoon_status row_check(rows_check *c, const char *key, size_t key_size, const char *data,
                               size_t size)
{
    ratoon__run_row row;
    ratoon_id run;
    if (!ratoon__index_entry_run(RATOON__INDEX_ID, key, key_size, 1, &run)) {
        return ratoon__fail(c->error, RATOON_ERR_DAMAGED, "an entry of an index is garbled");
    }
    if (!ratoon__row_decode(data, size, run, &row)) {
        return ratoon__fail(c->error, RATOON_ERR_DAMAGED, "the row of run %I is missing or garbled",
                            &run);
    }
    static const ratoon__index lists[] = {RATOON__INDEX_TIME, RATOON__INDEX_STATUS,
                                          RATOON__INDEX_PIPELINE, RATOON__INDEX_SUBJECT};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        c->scratch.size = 0;
        ratoon__index_key(lists[i], &row, &c->scratch);
        if (c->scratch.failed) {
            return ratoon__fail(c->error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
        ratoon__sum_add(&c->expected, &c->key, c->scratch.data, c->scratch.size);
    }
    c->stop = !c->fn(c->ctx, &row);
    return RATOON_OK;
}

/* All entries whose keys begin with a byte. */
static ratoon_status rows_walk(rows_check *c, rocksdb_iterator_t *it, char tag)
{
    ratoon_status status = RATOON_OK;
    for (rocksdb_iter_seek(it, &tag, 1); status == RATOON_OK && !c->stop && rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        size_t key_size;
        size_t size;
        const char *key = rocksdb_iter_key(it, &key_size);
        if (key_size == 0 || key[0] != tag) {
            break;
        }
        if (tag == 'r') {
            const char *data = rocksdb_iter_value(it, &size);
            status = row_check(c, key, key_size, data, size);
        } else {
            ratoon__sum_add(&c->found, &c->key, key, key_size);
        }
    }
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    if (message != NULL && status == RATOON_OK) {
        return ratoon__rocks_error(message, "can't read the rows of runs", c->error);
    }
    rocksdb_free(message);
    return status;
}

ratoon_status ratoon__rocks_rows(ratoon__driver *d, ratoon__row_fn fn, void *ctx, bool *indexed,
                                 ratoon_error *error)
{
    static const char tags[] = {'r', 't', 's', 'p', 'j'};
    ratoon__rocks *r = ratoon__rocks_of(d);
    rows_check c = {.fn = fn, .ctx = ctx, .error = error};
    ratoon_status status = ratoon__sum_key_draw(&c.key);
    if (status != RATOON_OK) {
        return ratoon__fail(error, status, "can't get random bytes");
    }
    status = ratoon__rocks_flush_derived(r, error);
    if (status != RATOON_OK) {
        return status;
    }
    const rocksdb_snapshot_t *view = rocksdb_create_snapshot(r->db);
    rocksdb_readoptions_t *options = options_of(view);
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, options, r->family[RATOON__FAMILY_DERIVED]);
    for (size_t i = 0; status == RATOON_OK && !c.stop && i < sizeof tags; i++) {
        status = rows_walk(&c, it, tags[i]);
    }
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(options);
    rocksdb_release_snapshot(r->db, view);
    ratoon__buf_free(&c.scratch);
    *indexed = !c.stop && ratoon__sum_equal(&c.expected, &c.found);
    return status;
}

/* ---- snapshots ---- */

ratoon_status ratoon__rocks_snapshots(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                      ratoon__snapshot_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    uint8_t start[1 + RATOON__COMMIT_KEY] = {'n'};
    ratoon__commit_key(start + 1, lineage, number);
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, r->verify_options, r->family[RATOON__FAMILY_DERIVED]);
    bool stop = false;
    for (rocksdb_iter_seek(it, (const char *)start, sizeof start); !stop && rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        size_t key_size;
        size_t size;
        ratoon_id of;
        const char *key = rocksdb_iter_key(it, &key_size);
        if (key_size == 0 || key[0] != 'n') {
            break;
        }
        if (key_size == sizeof start) { /* else it is none, and nobody ever finds it */
            const char *data = rocksdb_iter_value(it, &size);
            memcpy(of.bytes, key + 1, sizeof of.bytes);
            stop = !fn(ctx, of, ratoon__get_be64(key + 1 + sizeof of.bytes), data, size);
        }
    }
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    rocksdb_iter_destroy(it);
    return message == NULL ? RATOON_OK
                           : ratoon__rocks_error(message, "can't read snapshots", error);
}
