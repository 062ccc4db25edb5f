/* Appending: judges each append of a group, writes the group as one batch, syncs it once, and only
 * then moves the boundary that readers see. */
#include "log/rocksdb_impl.h"

#include "log/folder.h"
#include "log/points.h"
#include "log/rocksdb_env.h"

#include <rocksdb/c.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ROOM_EVERY = 1 << 20,   /* bytes between two looks at the disk's room… */
    ROOM_AMPLE = 256 << 20, /* …while this much is left; else at each group */
    SLOTS_MIN = 64,
    PENDING_MAX = 4 * RATOON__DERIVED_EVERY, /* then an append writes derived rows itself */
    BATCH_KEEP_MAX = 8 << 20,                /* a batch that grew beyond it gives its memory back */
};

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

void ratoon__group_free(ratoon__group *g)
{
    free(g->slots);
    ratoon__buf_free(&g->feed);
    ratoon__buf_free(&g->bytes);
    ratoon__pending_list_free(&g->staged);
}

/* ---- what earlier appends of the group changed ---- */

static bool group_begin(ratoon__group *g, const ratoon__append *appends, size_t count,
                        uint64_t first)
{
    size_t keys = count;
    for (size_t i = 0; i < count; i++) {
        keys += appends[i].claims_count;
    }
    size_t wanted = SLOTS_MIN;
    while (wanted < 2 * keys) {
        wanted *= 2;
    }
    if (wanted > g->slots_count) {
        ratoon__group_slot *slots = calloc(wanted, sizeof *slots);
        if (slots == NULL) {
            return false;
        }
        free(g->slots);
        g->slots = slots;
        g->slots_count = wanted;
    }
    g->stamp++;
    g->feed.size = 0;
    g->first = first;
    g->count = 0;
    return true;
}

/* The slot of a key, or the free one where it would go. */
static ratoon__group_slot *group_slot(const ratoon__group *g, bool claim, const void *key,
                                      size_t size)
{
    size_t at = (size_t)(ratoon__hash(key, size) + claim) & (g->slots_count - 1);
    for (;;) {
        ratoon__group_slot *slot = &g->slots[at];
        if (slot->stamp != g->stamp ||
            (slot->claim == claim && slot->key_size == size && memcmp(slot->key, key, size) == 0)) {
            return slot;
        }
        at = (at + 1) & (g->slots_count - 1);
    }
}

static void group_set(ratoon__group *g, ratoon__group_slot *slot, bool claim, const void *key,
                      size_t size)
{
    slot->stamp = g->stamp;
    slot->claim = claim;
    slot->key = key;
    slot->key_size = size;
}

static ratoon_status group_head(ratoon__rocks *r, ratoon_id lineage, uint64_t *head,
                                ratoon_error *error)
{
    const ratoon__group_slot *slot =
        group_slot(&r->group, false, lineage.bytes, sizeof lineage.bytes);
    if (slot->stamp == r->group.stamp) {
        *head = slot->head;
        return RATOON_OK;
    }
    /* Only writers change this table, so reading it needs no lock here. */
    if (ratoon__slots_get(&r->heads, lineage.bytes, head)) {
        return RATOON_OK;
    }
    return ratoon__rocks_last_number(r, lineage, head, error);
}

/* Who holds a claim's name after the claims before it in its own append. */
static ratoon_status claim_holder(ratoon__rocks *r, const ratoon__append *a, size_t claim,
                                  ratoon_id *holder, ratoon_error *error)
{
    const char *name = a->claims[claim].name;
    const ratoon__group_slot *slot = group_slot(&r->group, true, name, strlen(name));
    ratoon_status status = RATOON_OK;
    if (slot->stamp == r->group.stamp) {
        *holder = slot->holder;
    } else {
        status = ratoon__rocks_claim_holder(r, name, holder, error);
    }
    for (size_t i = 0; i < claim; i++) {
        const ratoon__claim *before = &a->claims[i];
        if (strcmp(before->name, name) == 0) {
            if (before->take) {
                *holder = before->run;
            } else if (ratoon_id_equal(before->run, *holder)) {
                *holder = (ratoon_id){{0}};
            }
        }
    }
    return status;
}

/* ---- judging ---- */

/* Sets the append's status: OK, or why it is refused. Returns another status than OK where that
 * could not be found out. */
static ratoon_status judge(ratoon__rocks *r, ratoon__append *a, bool follows_refused,
                           ratoon_error *error)
{
    for (size_t i = 0; i < a->values_count; i++) {
        if (a->values[i].size > r->options.value_max) {
            a->status = RATOON_ERR_LIMIT_EXCEEDED;
            return RATOON_OK;
        }
    }
    uint64_t head = 0;
    ratoon_status status = group_head(r, a->lineage, &head, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (follows_refused || a->number != head + 1) {
        a->status = RATOON_ERR_CONFLICT;
        a->head = head;
        return RATOON_OK;
    }
    for (size_t i = 0; i < a->claims_count; i++) {
        ratoon_id holder;
        if (!a->claims[i].take) {
            continue;
        }
        status = claim_holder(r, a, i, &holder, error);
        if (status != RATOON_OK) {
            return status;
        }
        if (!ratoon_id_is_zero(holder) && !ratoon_id_equal(holder, a->claims[i].run)) {
            a->status = RATOON_ERR_CLAIMED;
            a->holder = holder;
            a->claim = (uint32_t)i;
            return RATOON_OK;
        }
    }
    a->status = RATOON_OK;
    return RATOON_OK;
}

/* ---- staging ---- */

static ratoon_status stage_values(ratoon__rocks *r, const ratoon__append *a, ratoon_error *error)
{
    for (size_t i = 0; i < a->values_count; i++) {
        const ratoon__stored_value *v = &a->values[i];
        const char *key = (const char *)v->digest.bytes;
        uint64_t ignored;
        if (ratoon__slots_get(&r->stored, key, &ignored)) {
            continue;
        }
        rocksdb_column_family_handle_t *family = r->family[RATOON__FAMILY_VALUES];
        if (rocksdb_key_may_exist_cf(r->db, r->get_options, family, key, sizeof v->digest.bytes,
                                     NULL, NULL, NULL, 0, NULL)) {
            char *message = NULL;
            rocksdb_pinnableslice_t *found = rocksdb_get_pinned_cf(
                r->db, r->get_options, family, key, sizeof v->digest.bytes, &message);
            if (message != NULL) {
                return ratoon__rocks_error(message, "can't look for a value", error);
            }
            if (found != NULL) {
                rocksdb_pinnableslice_destroy(found);
                ratoon__slots_put(&r->stored, key, 1);
                continue;
            }
        }
        rocksdb_writebatch_put_cf(r->batch, family, key, sizeof v->digest.bytes,
                                  v->size == 0 ? "" : v->data, v->size);
    }
    return RATOON_OK;
}

static ratoon_status stage_claims(ratoon__rocks *r, const ratoon__append *a, ratoon_error *error)
{
    for (size_t i = 0; i < a->claims_count; i++) {
        const ratoon__claim *c = &a->claims[i];
        ratoon_id holder;
        /* What came before it in this append is in the group's slots by now. */
        const ratoon__append alone = {.claims = c, .claims_count = 1};
        ratoon_status status = claim_holder(r, &alone, 0, &holder, error);
        if (status != RATOON_OK) {
            return status;
        }
        if (c->take) {
            holder = c->run;
        } else if (ratoon_id_equal(holder, c->run)) {
            holder = (ratoon_id){{0}};
        } else {
            continue; /* somebody else's: not ours to release */
        }
        size_t size = strlen(c->name);
        ratoon__group_slot *slot = group_slot(&r->group, true, c->name, size);
        group_set(&r->group, slot, true, c->name, size);
        slot->holder = holder;
        if (!ratoon__pending_list_claim(&r->group.staged, c->name, holder)) {
            return no_memory(error);
        }
    }
    return RATOON_OK;
}

static ratoon_status stage(ratoon__rocks *r, ratoon__append *a, ratoon_error *error)
{
    ratoon__group *g = &r->group;
    a->position = g->first + g->count;
    uint8_t key[RATOON__COMMIT_KEY];
    uint8_t position[RATOON__POSITION_SIZE];
    ratoon__commit_key(key, a->lineage, a->number);
    ratoon__put_le64(position, a->position);
    g->bytes.size = 0;
    ratoon__buf_add(&g->bytes, position, sizeof position);
    ratoon__buf_add(&g->bytes, a->data, a->size);
    ratoon__buf_add(&g->feed, key, sizeof key);
    if (g->bytes.failed || g->feed.failed) {
        return no_memory(error);
    }
    ratoon_status status = a->erase ? ratoon__rocks_stage_erase(r, a, error) : RATOON_OK;
    rocksdb_writebatch_put_cf(r->batch, r->family[RATOON__FAMILY_COMMITS], (const char *)key,
                              sizeof key, g->bytes.data, g->bytes.size);
    for (size_t i = 0; !a->erase && i < a->rows_count; i++) {
        if (!ratoon__pending_list_row(&g->staged, &a->rows[i])) {
            return no_memory(error);
        }
    }
    if (status == RATOON_OK) {
        status = stage_values(r, a, error);
    }
    if (status == RATOON_OK) {
        status = stage_claims(r, a, error);
    }
    ratoon__group_slot *slot = group_slot(g, false, a->lineage.bytes, sizeof a->lineage.bytes);
    group_set(g, slot, false, a->lineage.bytes, sizeof a->lineage.bytes);
    slot->head = a->number;
    g->count++;
    return status;
}

/* ---- room on the disk ---- */

/* Reopening writes to new files what the log holds: so much must be kept in reserve. */
static uint64_t unwritten(ratoon__rocks *r)
{
    uint64_t sum = 0;
    for (int i = 0; i < RATOON__FAMILIES; i++) {
        uint64_t size = 0;
        if (rocksdb_property_int_cf(r->db, r->family[i], "rocksdb.cur-size-all-mem-tables",
                                    &size) == 0) {
            sum += size;
        }
    }
    return sum;
}

/* Refuses while the store is still whole: once a write of the log has failed, only reopening helps,
 * and that needs room too. */
static ratoon_status check_room(ratoon__rocks *r, const ratoon__append *appends, size_t count,
                                ratoon_error *error)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += appends[i].size;
        for (size_t k = 0; k < appends[i].values_count; k++) {
            bytes += appends[i].values[k].size;
        }
    }
    r->room_bytes += bytes;
    if (r->room_bytes < ROOM_EVERY && r->room > ROOM_AMPLE) {
        return RATOON_OK;
    }
    r->room_bytes = 0;
    r->room = ratoon__folder_room(r->path);
    uint64_t needed = unwritten(r) + bytes;
    uint64_t ballast = needed + RATOON__BALLAST_MIN;
    bool enough = r->room >= RATOON__ROOM_MIN + bytes;
    if (enough && needed + ROOM_EVERY > r->ballast) {
        enough = ratoon__ballast_grow(r->path, ballast);
        r->ballast = enough ? ballast : r->ballast;
    }
    if (!enough) {
        r->room = 0;
        ratoon__fail(error, RATOON_ERR_IO, "disk full: too little room is left for %s", r->path);
        ratoon__hint(error, "nothing was appended; make room on the disk and try again");
        if (error != NULL) {
            error->backend_code = ENOSPC;
        }
        return RATOON_ERR_IO;
    }
    return RATOON_OK;
}

/* ---- writing ---- */

static void fail_for_good(ratoon__rocks *r, const ratoon_error *why)
{
    ratoon__rocks_refuse(r, RATOON_ERR_READ_ONLY, why->message);
}

static void note_synced(ratoon__rocks *r, uint64_t position)
{
    pthread_mutex_lock(&r->state);
    if (position > r->synced) {
        r->synced = position;
    }
    pthread_mutex_unlock(&r->state);
}

static ratoon_status note_witness(ratoon__rocks *r, uint64_t position, ratoon_error *error)
{
    ratoon__at(RATOON__POINT_WITNESS_WRITE);
    if (!ratoon__witness_note(&r->witness, position)) {
        return ratoon__fail_errno(error, RATOON_ERR_IO, "can't write the witness of the store",
                                  r->path);
    }
    ratoon__at(RATOON__POINT_WITNESS_WRITTEN);
    note_synced(r, position);
    return RATOON_OK;
}

static ratoon_status write_group(ratoon__rocks *r, bool sync, bool erases, ratoon_error *error)
{
    ratoon__group *g = &r->group;
    ratoon__at(RATOON__POINT_APPEND_FEED);
    /* What is erased can't be found by its positions any more. */
    ratoon__window_stage(r, erases);
    char *message = NULL;
    ratoon__at(RATOON__POINT_APPEND_WRITE);
    rocksdb_set_perf_level(RATOON__COUNT_NOTHING);
    (void)ratoon__rocks_sync_took(); /* by others */
    rocksdb_write(r->db, sync ? r->write_sync : r->write_plain, r->batch, &message);
    rocksdb_set_perf_level(RATOON__COUNT_AS_USUAL);
    if (message != NULL) {
        return ratoon__rocks_error(message, "can't write to the log", error);
    }
    ratoon__at(RATOON__POINT_APPEND_WRITTEN);
    return sync ? note_witness(r, g->first + g->count - 1, error) : RATOON_OK;
}

/* Moves the boundary; true where derived rows have piled up. */
static bool publish(ratoon__rocks *r, const ratoon__append *appends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; appends[i].status == RATOON_OK && k < appends[i].values_count; k++) {
            ratoon__slots_put(&r->stored, appends[i].values[k].digest.bytes, 1);
        }
    }
    pthread_mutex_lock(&r->state);
    for (size_t i = 0; i < count; i++) {
        if (appends[i].status == RATOON_OK) {
            ratoon__slots_put(&r->heads, appends[i].lineage.bytes, appends[i].number);
        }
    }
    ratoon__pending_merge(&r->pending, &r->group.staged);
    r->pending.changes += (size_t)r->group.count; /* the position they are true for is news too */
    ratoon__window_publish(r);
    atomic_store(&r->acked, r->group.first + r->group.count - 1);
    pthread_cond_broadcast(&r->moved);
    if (r->watch_fd >= 0) {
        uint64_t one = 1;
        if (write(r->watch_fd, &one, sizeof one) < 0) {
            errno = 0; /* full: it is going to be read anyway */
        }
    }
    if (r->pending.changes >= RATOON__DERIVED_EVERY && !r->keeper_flush) {
        r->keeper_flush = true;
        pthread_cond_signal(&r->keeper_wake);
    }
    bool piled_up = r->pending.changes >= PENDING_MAX;
    pthread_mutex_unlock(&r->state);
    return piled_up;
}

static ratoon_status append_group(ratoon__rocks *r, ratoon__append *appends, size_t count,
                                  bool sync, ratoon_error *error)
{
    ratoon_status status = ratoon__rocks_writable(r, error);
    if (status == RATOON_OK) {
        status = check_room(r, appends, count, error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    if (!group_begin(&r->group, appends, count, atomic_load(&r->acked) + 1)) {
        return no_memory(error);
    }
    ratoon__at(RATOON__POINT_APPEND_BEGIN);
    bool erases = false;
    for (size_t i = 0; i < count; i++) {
        erases = erases || appends[i].erase;
    }
    if (erases) { /* what an erased lineage has pending must be where it can be taken out */
        status = ratoon__rocks_flush_derived(r, error);
    }
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        const bool follows_refused = ratoon__append_rests_on_refused(appends, i);
        status = judge(r, &appends[i], follows_refused, error);
        if (status == RATOON_OK && appends[i].status == RATOON_OK) {
            status = stage(r, &appends[i], error);
        }
    }
    if (status != RATOON_OK || r->group.count == 0) {
        return status;
    }
    ratoon_error why; /* 5 KiB, which are not cleared for an error that hardly ever comes */
    status = write_group(r, sync, erases, &why);
    if (status != RATOON_OK) {
        fail_for_good(r, &why);
        if (error != NULL) {
            *error = why;
        }
        return status;
    }
    appends[0].sync_ns = sync ? ratoon__rocks_sync_took() : 0;
    const bool piled_up = publish(r, appends, count);
    ratoon__at(RATOON__POINT_APPEND_PUBLISHED);
    if (piled_up) {
        /* The group is acknowledged whatever comes of this; a failure shows with the next one. */
        (void)ratoon__rocks_flush_derived(r, NULL);
    }
    return RATOON_OK;
}

static void batch_reset(ratoon__rocks *r)
{
    size_t size = 0;
    (void)rocksdb_writebatch_data(r->batch, &size);
    if (size > BATCH_KEEP_MAX) {
        rocksdb_writebatch_destroy(r->batch);
        r->batch = rocksdb_writebatch_create();
        ratoon__buf_free(&r->group.bytes);
    } else {
        rocksdb_writebatch_clear(r->batch);
    }
}

ratoon_status ratoon__rocks_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                   bool sync, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    if (count == 0) {
        return RATOON_OK;
    }
    bool synced = r->options.durability == RATOON_DURABILITY_SYNC ||
                  (r->options.durability == RATOON_DURABILITY_INTERVAL && sync);
    pthread_mutex_lock(&r->writer);
    ratoon_status status = append_group(r, appends, count, synced, error);
    ratoon__pending_list_free(&r->group.staged);
    if (r->group.bytes.failed || r->group.feed.failed) {
        ratoon__buf_free(&r->group.bytes);
        ratoon__buf_free(&r->group.feed);
    }
    batch_reset(r);
    pthread_mutex_unlock(&r->writer);
    for (size_t i = 0; status != RATOON_OK && i < count; i++) {
        appends[i].status = status;
    }
    return status;
}

ratoon_status ratoon__rocks_sync(ratoon__rocks *r, ratoon_error *error)
{
    uint64_t position = atomic_load(&r->acked);
    ratoon_status status = ratoon__rocks_writable(r, error);
    if (status != RATOON_OK || atomic_load(&r->synced) >= position) {
        return status;
    }
    ratoon_error why = {0};
    char *message = NULL;
    /* An empty batch waits its turn behind other writes, and RocksDB refuses it once one of them
     * has failed. A flush of the log does not: between a failed write and the refusal of what comes
     * behind it, it would run into an assertion and end the process. */
    rocksdb_writebatch_t *nothing = rocksdb_writebatch_create();
    rocksdb_write(r->db, r->write_sync, nothing, &message);
    rocksdb_writebatch_destroy(nothing);
    ratoon__at(RATOON__POINT_SYNC_DONE);
    status = message != NULL ? ratoon__rocks_error(message, "can't sync the log", &why)
                             : note_witness(r, position, &why);
    if (status != RATOON_OK) {
        fail_for_good(r, &why);
        if (error != NULL) {
            *error = why;
        }
    }
    return status;
}
