/* Derived rows: run rows with their index entries, and claims. They collect in memory and are
 * written now and then, together with the position that they are true for. */
#include "log/rocksdb_impl.h"

#include "log/points.h"

#include <rocksdb/c.h>

#include <string.h>

static const char covered_key[] = {'m'};

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

/* A derived row's bytes, NULL where there is none; destroy them. */
static ratoon_status row_get(ratoon__rocks *r, const ratoon__buf *key,
                             rocksdb_pinnableslice_t **out, ratoon_error *error)
{
    if (key->failed) {
        return no_memory(error);
    }
    char *message = NULL;
    *out = rocksdb_get_pinned_cf(r->db, r->get_options, r->family[RATOON__FAMILY_DERIVED],
                                 key->data, key->size, &message);
    return message == NULL ? RATOON_OK
                           : ratoon__rocks_error(message, "can't read a derived row", error);
}

static ratoon_status damaged(const char *what, ratoon_error *error)
{
    ratoon__fail(error, RATOON_ERR_DAMAGED, "%s is garbled", what);
    ratoon__hint(error, "it is derived from the commits and can be rebuilt");
    return RATOON_ERR_DAMAGED;
}

/* ---- writing ---- */

/* The position that pending and written rows together are true for; with `state` held. */
static uint64_t covered(const ratoon__rocks *r)
{
    return r->covered < r->gap_end ? r->covered : atomic_load(&r->acked);
}

/* The row of a deleted lineage's run goes, from the indices too where it is known. */
static ratoon_status batch_removal(ratoon__rocks *r, const ratoon__run_row *row, ratoon__buf *key,
                                   ratoon_error *error)
{
    const int last = row->status != 0 ? RATOON__INDEX_TIME : RATOON__INDEX_ID;
    for (int i = RATOON__INDEX_ID; i >= last; i--) {
        key->size = 0;
        ratoon__index_key((ratoon__index)i, row, key);
        if (key->failed) {
            return no_memory(error);
        }
        rocksdb_writebatch_delete_cf(r->derived_batch, r->family[RATOON__FAMILY_DERIVED], key->data,
                                     key->size);
    }
    return RATOON_OK;
}

static ratoon_status batch_row(ratoon__rocks *r, const ratoon__run_row *row, ratoon__buf *key,
                               ratoon__buf *old_key, ratoon_error *error)
{
    rocksdb_column_family_handle_t *family = r->family[RATOON__FAMILY_DERIVED];
    key->size = 0;
    ratoon__index_key(RATOON__INDEX_ID, row, key);
    rocksdb_pinnableslice_t *found = NULL;
    ratoon_status status = row_get(r, key, &found, error);
    if (status != RATOON_OK) {
        return status;
    }
    size_t size = 0;
    ratoon__run_row old;
    const char *bytes = found == NULL ? NULL : rocksdb_pinnableslice_value(found, &size);
    bool had = bytes != NULL && ratoon__row_decode(bytes, size, row->run, &old);
    if (row->status == 0) {
        status = batch_removal(r, had ? &old : row, key, error);
        if (found != NULL) {
            rocksdb_pinnableslice_destroy(found);
        }
        return status;
    }
    old_key->size = 0;
    ratoon__row_encode(row, old_key); /* borrowed for the row's bytes */
    if (!old_key->failed) {
        rocksdb_writebatch_put_cf(r->derived_batch, family, key->data, key->size, old_key->data,
                                  old_key->size);
    }
    for (ratoon__index i = RATOON__INDEX_TIME; i < RATOON__INDEX_ID && !old_key->failed; i++) {
        key->size = 0;
        ratoon__index_key(i, row, key);
        if (had) {
            old_key->size = 0;
            ratoon__index_key(i, &old, old_key);
        }
        if (key->failed || old_key->failed) {
            break;
        }
        if (had && key->size == old_key->size && memcmp(key->data, old_key->data, key->size) == 0) {
            continue;
        }
        if (had) {
            rocksdb_writebatch_delete_cf(r->derived_batch, family, old_key->data, old_key->size);
        }
        rocksdb_writebatch_put_cf(r->derived_batch, family, key->data, key->size, "", 0);
    }
    if (found != NULL) {
        rocksdb_pinnableslice_destroy(found);
    }
    return key->failed || old_key->failed ? no_memory(error) : RATOON_OK;
}

static ratoon_status batch_claim(ratoon__rocks *r, const ratoon__pending_claim *claim,
                                 ratoon__buf *key, ratoon_error *error)
{
    rocksdb_column_family_handle_t *family = r->family[RATOON__FAMILY_DERIVED];
    key->size = 0;
    ratoon__buf_add(key, "c", 1);
    ratoon__buf_add(key, claim->name, claim->name_size);
    if (key->failed) {
        return no_memory(error);
    }
    if (ratoon_id_is_zero(claim->holder)) {
        rocksdb_writebatch_delete_cf(r->derived_batch, family, key->data, key->size);
    } else {
        rocksdb_writebatch_put_cf(r->derived_batch, family, key->data, key->size,
                                  (const char *)claim->holder.bytes, sizeof claim->holder.bytes);
    }
    return RATOON_OK;
}

static ratoon_status batch_all(ratoon__rocks *r, uint64_t position, ratoon_error *error)
{
    ratoon__buf key = {0};
    ratoon__buf other = {0};
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; i < RATOON__PENDING_BUCKETS; i++) {
        for (const ratoon__pending_row *row = r->flushing.rows[i];
             status == RATOON_OK && row != NULL; row = row->next) {
            status = batch_row(r, &row->row, &key, &other, error);
        }
        for (const ratoon__pending_claim *claim = r->flushing.claims[i];
             status == RATOON_OK && claim != NULL; claim = claim->next) {
            status = batch_claim(r, claim, &key, error);
        }
    }
    uint8_t value[8];
    ratoon__put_be64(value, position);
    rocksdb_writebatch_put_cf(r->derived_batch, r->family[RATOON__FAMILY_DERIVED], covered_key,
                              sizeof covered_key, (const char *)value, sizeof value);
    ratoon__buf_free(&key);
    ratoon__buf_free(&other);
    return status;
}

static void swap_pending(ratoon__pending *a, ratoon__pending *b)
{
    ratoon__pending swap = *a;
    *a = *b;
    *b = swap;
}

/* With `flush` held: writes what is in `flushing`. What failed to be written stays there, where
 * look-ups find it. The store is read-only then, and rows are made anew when it is opened again;
 * where only memory ran out nothing was written yet, and the next flush does it. */
static ratoon_status write_flushing(ratoon__rocks *r, ratoon_error *error)
{
    ratoon_error why = {0};
    ratoon_status status = batch_all(r, r->flushing_position, &why);
    if (status == RATOON_ERR_NO_MEMORY) {
        rocksdb_writebatch_clear(r->derived_batch);
        return no_memory(error);
    }
    if (status == RATOON_OK) {
        char *message = NULL;
        ratoon__at(RATOON__POINT_DERIVED_WRITE);
        rocksdb_write(r->db, r->write_plain, r->derived_batch, &message);
        ratoon__at(RATOON__POINT_DERIVED_WRITTEN);
        if (message != NULL) {
            status = ratoon__rocks_error(message, "can't write derived rows", &why);
        }
    }
    rocksdb_writebatch_clear(r->derived_batch);
    if (status != RATOON_OK) {
        ratoon__rocks_refuse(r, RATOON_ERR_READ_ONLY, why.message);
        if (error != NULL) {
            *error = why;
        }
        return status;
    }
    pthread_mutex_lock(&r->state);
    swap_pending(&r->flushing, &r->written);
    pthread_mutex_unlock(&r->state);
    ratoon__pending_clear(&r->written);
    return RATOON_OK;
}

/* With `flush` held. */
static ratoon_status flush_locked(ratoon__rocks *r, ratoon_error *error)
{
    pthread_mutex_lock(&r->state);
    const bool failed = atomic_load(&r->refusal) == RATOON_ERR_READ_ONLY;
    const bool wanted = r->pending.changes > 0;
    const bool left = r->flushing.changes > 0; /* by one that ran out of memory */
    r->keeper_flush = false;
    pthread_mutex_unlock(&r->state);
    if (failed) {
        return wanted || left ? ratoon__rocks_writable(r, error) : RATOON_OK;
    }
    ratoon_status status = left ? write_flushing(r, error) : RATOON_OK;
    if (status != RATOON_OK || !wanted) {
        return status;
    }
    pthread_mutex_lock(&r->state);
    r->flushing_position = covered(r);
    swap_pending(&r->pending, &r->flushing);
    pthread_mutex_unlock(&r->state);
    return write_flushing(r, error);
}

ratoon_status ratoon__rocks_flush_derived(ratoon__rocks *r, ratoon_error *error)
{
    pthread_mutex_lock(&r->flush);
    ratoon_status status = flush_locked(r, error);
    pthread_mutex_unlock(&r->flush);
    return status;
}

ratoon_status ratoon__rocks_load_derived(ratoon__rocks *r, ratoon_error *error)
{
    ratoon__buf key = {0};
    ratoon__buf_add(&key, covered_key, sizeof covered_key);
    rocksdb_pinnableslice_t *found = NULL;
    ratoon_status status = row_get(r, &key, &found, error);
    r->covered = 0;
    if (status == RATOON_OK && found != NULL) {
        size_t size;
        const char *value = rocksdb_pinnableslice_value(found, &size);
        /* Beyond the log's end they tell of what is lost: they are to be made anew. */
        if (size == 8 && ratoon__get_be64(value) <= atomic_load(&r->acked)) {
            r->covered = ratoon__get_be64(value);
        }
        rocksdb_pinnableslice_destroy(found);
    }
    r->gap_end = atomic_load(&r->acked);
    ratoon__buf_free(&key);
    return status;
}

ratoon_status ratoon__rocksdb_derived_position(ratoon__driver *d, uint64_t *position,
                                               ratoon_error *error)
{
    (void)error;
    ratoon__rocks *r = ratoon__rocks_of(d);
    pthread_mutex_lock(&r->state);
    *position = covered(r);
    pthread_mutex_unlock(&r->state);
    return RATOON_OK;
}

ratoon_status ratoon__rocksdb_put_derived(ratoon__driver *d, const ratoon__run_row *rows,
                                          size_t rows_count, const ratoon__claim *claims,
                                          size_t claims_count, uint64_t position,
                                          ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    ratoon__pending_list staged;
    ratoon__pending_list_init(&staged);
    bool done = true;
    for (size_t i = 0; done && i < rows_count; i++) {
        done = ratoon__pending_list_row(&staged, &rows[i]);
    }
    ratoon_status status = RATOON_OK;
    pthread_mutex_lock(&r->writer); /* who holds a name must not change between look and put */
    for (size_t i = 0; done && status == RATOON_OK && i < claims_count; i++) {
        ratoon_id holder = claims[i].run;
        if (!claims[i].take) {
            /* Released by its holder only; a claim put earlier in this call is not seen yet. */
            bool put_here = false;
            for (const ratoon__pending_claim *c = staged.claims; c != NULL; c = c->next) {
                if (strcmp(c->name, claims[i].name) == 0) {
                    put_here = true;
                    holder = c->holder;
                }
            }
            if (!put_here) {
                status = ratoon__rocks_claim_holder(r, claims[i].name, &holder, error);
            }
            if (status != RATOON_OK || !ratoon_id_equal(holder, claims[i].run)) {
                continue;
            }
            holder = (ratoon_id){{0}};
        }
        done = ratoon__pending_list_claim(&staged, claims[i].name, holder);
    }
    if (!done) {
        status = no_memory(error);
    }
    bool piled_up = false;
    if (status == RATOON_OK) {
        pthread_mutex_lock(&r->state);
        ratoon__pending_merge(&r->pending, &staged);
        if (position > r->covered) {
            r->covered = position;
        }
        r->pending.changes += r->pending.changes == 0; /* the position itself is news */
        piled_up = r->pending.changes >= RATOON__DERIVED_EVERY;
        pthread_mutex_unlock(&r->state);
    }
    pthread_mutex_unlock(&r->writer);
    ratoon__pending_list_free(&staged);
    return status == RATOON_OK && piled_up ? ratoon__rocks_flush_derived(r, error) : status;
}

ratoon_status ratoon__rocksdb_forget_derived(ratoon__driver *d, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    static const char first[] = {'\0'};
    static const char last[] = {'\x7f'}; /* beyond every first byte of a derived key */
    pthread_mutex_lock(&r->writer);
    pthread_mutex_lock(&r->flush);
    char *message = NULL;
    rocksdb_writebatch_delete_range_cf(r->derived_batch, r->family[RATOON__FAMILY_DERIVED], first,
                                       sizeof first, last, sizeof last);
    rocksdb_write(r->db, r->write_sync, r->derived_batch, &message);
    rocksdb_writebatch_clear(r->derived_batch);
    ratoon_status status = RATOON_OK;
    if (message != NULL) {
        ratoon_error why = {0};
        status = ratoon__rocks_error(message, "can't remove derived rows", &why);
        ratoon__rocks_refuse(r, RATOON_ERR_READ_ONLY, why.message);
        if (error != NULL) {
            *error = why;
        }
    } else {
        pthread_mutex_lock(&r->state);
        ratoon__pending_clear(&r->pending);
        r->covered = 0;
        r->gap_end = atomic_load(&r->acked);
        pthread_mutex_unlock(&r->state);
    }
    pthread_mutex_unlock(&r->flush);
    pthread_mutex_unlock(&r->writer);
    return status;
}

/* ---- look-ups ---- */

ratoon_status ratoon__rocks_run_get(ratoon__driver *d, ratoon_id run, ratoon_id *root,
                                    ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    pthread_mutex_lock(&r->state);
    const ratoon__run_row *row = ratoon__pending_find_row(&r->pending, run);
    if (row == NULL) {
        row = ratoon__pending_find_row(&r->flushing, run);
    }
    const bool pending = row != NULL;
    const bool removed = pending && row->status == 0;
    if (pending && !removed) {
        *root = row->root;
    }
    pthread_mutex_unlock(&r->state);
    if (removed) {
        return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %I", &run);
    }
    if (pending) {
        return RATOON_OK;
    }
    ratoon__buf key = {0};
    ratoon__index_key(RATOON__INDEX_ID, &(ratoon__run_row){.run = run}, &key);
    rocksdb_pinnableslice_t *found = NULL;
    ratoon_status status = row_get(r, &key, &found, error);
    ratoon__buf_free(&key);
    if (status == RATOON_OK && found == NULL) {
        status = ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %I", &run);
    } else if (status == RATOON_OK) {
        size_t size;
        ratoon__run_row stored;
        const char *bytes = rocksdb_pinnableslice_value(found, &size);
        if (ratoon__row_decode(bytes, size, run, &stored)) {
            *root = stored.root;
        } else {
            status = damaged("the row of a run", error);
        }
        rocksdb_pinnableslice_destroy(found);
    }
    return status;
}

ratoon_status ratoon__rocks_claim_holder(ratoon__rocks *r, const char *name, ratoon_id *holder,
                                         ratoon_error *error)
{
    pthread_mutex_lock(&r->state);
    const ratoon__pending_claim *claim = ratoon__pending_find_claim(&r->pending, name);
    if (claim == NULL) {
        claim = ratoon__pending_find_claim(&r->flushing, name);
    }
    if (claim != NULL) {
        *holder = claim->holder;
    }
    pthread_mutex_unlock(&r->state);
    if (claim != NULL) {
        return RATOON_OK;
    }
    ratoon__buf key = {0};
    ratoon__buf_add(&key, "c", 1);
    ratoon__buf_str(&key, name);
    rocksdb_pinnableslice_t *found = NULL;
    ratoon_status status = row_get(r, &key, &found, error);
    ratoon__buf_free(&key);
    if (status == RATOON_OK && found == NULL) {
        *holder = (ratoon_id){{0}};
    } else if (status == RATOON_OK) {
        size_t size;
        const char *bytes = rocksdb_pinnableslice_value(found, &size);
        if (size == sizeof holder->bytes) {
            memcpy(holder->bytes, bytes, size);
        } else {
            status = damaged("a claim", error);
        }
        rocksdb_pinnableslice_destroy(found);
    }
    return status;
}

ratoon_status ratoon__rocks_claim_get(ratoon__driver *d, const char *name, ratoon_id *holder,
                                      ratoon_error *error)
{
    ratoon_id found;
    ratoon_status status = ratoon__rocks_claim_holder(ratoon__rocks_of(d), name, &found, error);
    if (status == RATOON_OK && ratoon_id_is_zero(found)) {
        return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "nobody holds %s", name);
    }
    if (status == RATOON_OK) {
        *holder = found;
    }
    return status;
}
