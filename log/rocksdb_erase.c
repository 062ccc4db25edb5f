/* Taking out (R20): the commits that a mark stands for, values that nobody uses any more; and
 * copies of the whole database. */
#include "log/rocksdb_impl.h"

#include "log/points.h"

#include <rocksdb/c.h>

#include <string.h>

/* ---- lineages ---- */

static ratoon_status batch_row(ratoon__rocks *r, ratoon_id run, ratoon__buf *key,
                               ratoon_error *error)
{
    rocksdb_column_family_handle_t *family = r->family[RATOON__FAMILY_DERIVED];
    key->size = 0;
    ratoon__index_key(RATOON__INDEX_ID, &(ratoon__run_row){.run = run}, key);
    if (key->failed) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    char *message = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned_cf(r->db, r->get_options, family, key->data, key->size, &message);
    if (message != NULL) {
        return ratoon__rocks_error(message, "can't read the row of a run", error);
    }
    if (found == NULL) {
        return RATOON_OK;
    }
    rocksdb_writebatch_delete_cf(r->batch, family, key->data, key->size);
    size_t size = 0;
    ratoon__run_row row;
    const char *bytes = rocksdb_pinnableslice_value(found, &size);
    bool readable = ratoon__row_decode(bytes, size, run, &row);
    for (ratoon__index i = RATOON__INDEX_TIME; readable && i < RATOON__INDEX_ID; i++) {
        key->size = 0;
        ratoon__index_key(i, &row, key);
        if (!key->failed) {
            rocksdb_writebatch_delete_cf(r->batch, family, key->data, key->size);
        }
    }
    rocksdb_pinnableslice_destroy(found);
    return key->failed ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory") : RATOON_OK;
}

static ratoon_status batch_name(ratoon__rocks *r, const char *name, ratoon__buf *key,
                                ratoon_error *error)
{
    key->size = 0;
    ratoon__buf_add(key, "c", 1);
    ratoon__buf_str(key, name);
    if (key->failed) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    rocksdb_writebatch_delete_cf(r->batch, r->family[RATOON__FAMILY_DERIVED], key->data, key->size);
    return RATOON_OK;
}

static ratoon_status batch_claim(ratoon__rocks *r, const ratoon__claim *claim, ratoon__buf *key,
                                 ratoon_error *error)
{
    ratoon_id holder;
    ratoon_status status = ratoon__rocks_claim_holder(r, claim->name, &holder, error);
    if (status != RATOON_OK || claim->take || !ratoon_id_equal(holder, claim->run)) {
        return status;
    }
    return batch_name(r, claim->name, key, error);
}

static void batch_range(ratoon__rocks *r, int family, const void *from, size_t from_size,
                        const void *to, size_t to_size)
{
    rocksdb_writebatch_delete_range_cf(r->batch, r->family[family], from, from_size, to, to_size);
}

ratoon_status ratoon__rocks_stage_erase(ratoon__rocks *r, const ratoon__append *a,
                                        ratoon_error *error)
{
    uint8_t from[1 + RATOON__COMMIT_KEY] = {'n'};
    uint8_t to[1 + RATOON__COMMIT_KEY] = {'n'};
    ratoon__commit_key(from + 1, a->lineage, 0);
    ratoon__commit_key(to + 1, a->lineage, a->number);
    /* From the id alone: a range that began with a whole key would be taken for a commit where
     * RocksDB remembers the place of the last one (rocksdb_hint.c). */
    batch_range(r, RATOON__FAMILY_COMMITS, a->lineage.bytes, sizeof a->lineage.bytes, to + 1,
                RATOON__COMMIT_KEY);
    batch_range(r, RATOON__FAMILY_DERIVED, from, sizeof from, to, sizeof to);
    ratoon__buf key = {0};
    ratoon_status status = RATOON_OK;
    /* On the disk too and at once: after a crash nothing tells any more which rows and names the
     * lineage had. What is pending of them is overtaken by what this append stages. */
    for (size_t i = 0; status == RATOON_OK && i < a->rows_count; i++) {
        status = batch_row(r, a->rows[i].run, &key, error);
        if (status == RATOON_OK &&
            !ratoon__pending_list_row(&r->group.staged,
                                      &(ratoon__run_row){.run = a->rows[i].run})) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
    }
    for (size_t i = 0; status == RATOON_OK && i < a->claims_count; i++) {
        status = batch_claim(r, &a->claims[i], &key, error);
    }
    /* Likewise what it gave back earlier in this very group. */
    for (const ratoon__pending_claim *c = r->group.staged.claims; status == RATOON_OK && c != NULL;
         c = c->next) {
        if (ratoon_id_is_zero(c->holder)) {
            status = batch_name(r, c->name, &key, error);
        }
    }
    ratoon__at(RATOON__POINT_DELETE_STAGED);
    ratoon__buf_free(&key);
    return status;
}

/* ---- values ---- */

static ratoon_status batch_value(ratoon__rocks *r, const ratoon_digest *digest, uint64_t *count,
                                 uint64_t *bytes, ratoon_error *error)
{
    char *message = NULL;
    const char *key = (const char *)digest->bytes;
    rocksdb_column_family_handle_t *family = r->family[RATOON__FAMILY_VALUES];
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned_cf(r->db, r->get_options, family, key, sizeof digest->bytes, &message);
    if (message != NULL) {
        return ratoon__rocks_error(message, "can't look for a value", error);
    }
    if (found != NULL) {
        size_t size = 0;
        (void)rocksdb_pinnableslice_value(found, &size);
        rocksdb_pinnableslice_destroy(found);
        rocksdb_writebatch_delete_cf(r->batch, family, key, sizeof digest->bytes);
        *count += 1;
        *bytes += size;
    }
    return RATOON_OK;
}

/* With `writer` held. */
static ratoon_status sweep(ratoon__rocks *r, const ratoon_digest *digests, size_t digests_count,
                           uint64_t end, uint64_t *count, uint64_t *bytes, ratoon_error *error)
{
    ratoon_status status = ratoon__rocks_writable(r, error);
    if (status == RATOON_OK && end != atomic_load(&r->acked) + 1) {
        status = ratoon__fail(error, RATOON_ERR_CONFLICT, "the feed has gone on to position %U",
                              atomic_load(&r->acked) + 1);
    }
    for (size_t i = 0; status == RATOON_OK && i < digests_count; i++) {
        status = batch_value(r, &digests[i], count, bytes, error);
    }
    if (status != RATOON_OK || *count == 0) {
        return status;
    }
    /* Forgotten before they go: what is known to be there is not written again. */
    for (size_t i = 0; i < digests_count; i++) {
        ratoon__slots_drop(&r->stored, digests[i].bytes);
    }
    char *message = NULL;
    ratoon__at(RATOON__POINT_DELETE_SWEEP);
    rocksdb_write(r->db, r->write_sync, r->batch, &message);
    if (message != NULL) {
        ratoon_error why = {0};
        status = ratoon__rocks_error(message, "can't remove values", &why);
        ratoon__rocks_refuse(r, RATOON_ERR_READ_ONLY, why.message);
        if (error != NULL) {
            *error = why;
        }
    }
    return status;
}

ratoon_status ratoon__rocks_sweep(ratoon__driver *d, const ratoon_digest *digests,
                                  size_t digests_count, uint64_t end, uint64_t *count,
                                  uint64_t *bytes, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    uint64_t swept = 0;
    uint64_t size = 0;
    pthread_mutex_lock(&r->writer);
    ratoon_status status = sweep(r, digests, digests_count, end, &swept, &size, error);
    rocksdb_writebatch_clear(r->batch);
    pthread_mutex_unlock(&r->writer);
    if (status == RATOON_OK) {
        *count = swept;
        *bytes = size;
    }
    return status;
}

/* ---- copies ---- */

/* RocksDB looks at the first record of each log file that is there, also of those that it has no
 * use for any more, and makes no copy where one is torn, as it is after a kill at that moment. Such
 * a file goes when something that came behind it is in tables, so here something is written. */
static void leave_old_logs(ratoon__rocks *r)
{
    char *message = NULL;
    pthread_mutex_lock(&r->state);
    r->pending.changes += r->pending.changes == 0; /* the position of the derived rows, again */
    pthread_mutex_unlock(&r->state);
    (void)ratoon__rocks_flush_derived(r, NULL);
    ratoon__rocks_to_tables(r);
    rocksdb_disable_file_deletions(r->db, &message);
    rocksdb_free(message);
    message = NULL;
    rocksdb_enable_file_deletions(r->db, 0, &message); /* which removes them now */
    rocksdb_free(message);
}

static char *copy(ratoon__rocks *r, const char *path)
{
    char *message = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(r->db, &message);
    if (message == NULL) {
        rocksdb_checkpoint_create(checkpoint, path, 0, &message);
    }
    if (checkpoint != NULL) {
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    return message;
}

ratoon_status ratoon__rocks_checkpoint(ratoon__driver *d, const char *path, uint64_t *position,
                                       ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    pthread_mutex_lock(&r->writer); /* no group is half way in, so the position is exact */
    ratoon_status status = ratoon__rocks_writable(r, error);
    if (status == RATOON_OK) {
        status = ratoon__rocks_flush_derived(r, error);
    }
    if (status == RATOON_OK) {
        message = copy(r, path);
        if (message != NULL && strncmp(message, "Corruption", 10) == 0) {
            rocksdb_free(message);
            leave_old_logs(r);
            message = copy(r, path);
        }
        *position = atomic_load(&r->acked);
    }
    pthread_mutex_unlock(&r->writer);
    return message == NULL ? status : ratoon__rocks_error(message, "can't copy the store", error);
}
