/* Projections: the cache of present ones, loading from snapshot and log, and when to store the next
 * snapshot. */
#include "log/store_impl.h"

#include <stdlib.h>
#include <string.h>

enum { LOADS_MAX = 8 }; /* of a lineage that changes while it is read */

static uint64_t id_hash(ratoon_id id)
{
    uint64_t h; /* the tail of a UUIDv7 is random */
    memcpy(&h, id.bytes + 8, sizeof h);
    return h * 0x9E3779B97F4A7C15u;
}

/* The slot of an id, or the free one where it would go. Caller holds cache_lock. */
static size_t slot_of(const ratoon_store *s, ratoon_id id)
{
    size_t i = (size_t)(id_hash(id) >> 20) % s->cache_capacity;
    while (s->cache[i] != NULL && !ratoon_id_equal(s->cache[i]->id, id)) {
        i = (i + 1) % s->cache_capacity;
    }
    return i;
}

static void slot_free(ratoon_store *s, size_t i)
{
    ratoon__lineage_unref(s->cache[i]->lineage);
    free(s->cache[i]);
    s->cache[i] = NULL;
    s->cache_count--;
    /* Open addressing: move what follows so that look-ups still find it. */
    for (size_t j = (i + 1) % s->cache_capacity; s->cache[j] != NULL;
         j = (j + 1) % s->cache_capacity) {
        ratoon__cached *c = s->cache[j];
        s->cache[j] = NULL;
        s->cache[slot_of(s, c->id)] = c;
    }
}

/* Makes room: the least recently used of a sample of slots goes. */
static void evict_one(ratoon_store *s)
{
    size_t victim = SIZE_MAX;
    size_t start = (size_t)(s->cache_clock * 0x9E3779B97F4A7C15u >> 24) % s->cache_capacity;
    unsigned seen = 0;
    for (size_t n = 0; n < s->cache_capacity && seen < 8; n++) {
        size_t i = (start + n) % s->cache_capacity;
        if (s->cache[i] != NULL) {
            seen++;
            if (victim == SIZE_MAX || s->cache[i]->used < s->cache[victim]->used) {
                victim = i;
            }
        }
    }
    if (victim != SIZE_MAX) {
        slot_free(s, victim);
    }
}

/* Puts a version into the cache unless a newer one is there; gives its entry, or NULL when out of
 * memory (then it just isn't cached). Caller holds cache_lock. */
static ratoon__cached *cache_put(ratoon_store *s, const ratoon__lineage *l)
{
    size_t i = slot_of(s, l->id);
    if (s->cache[i] == NULL) {
        if (s->cache_count >= RATOON__CACHED_LINEAGES) {
            evict_one(s);
            i = slot_of(s, l->id);
        }
        ratoon__cached *c = calloc(1, sizeof *c);
        if (c == NULL) {
            return NULL;
        }
        c->id = l->id;
        s->cache[i] = c;
        s->cache_count++;
    }
    ratoon__cached *c = s->cache[i];
    if (c->lineage == NULL || c->lineage->head < l->head) {
        ratoon__lineage_unref(c->lineage);
        c->lineage = ratoon__lineage_ref(l);
    }
    c->used = ++s->cache_clock;
    return c;
}

ratoon__lineage *ratoon__projection_cached(ratoon_store *s, ratoon_id root)
{
    ratoon__lineage *found = NULL;
    pthread_mutex_lock(&s->cache_lock);
    size_t i = slot_of(s, root);
    if (s->cache[i] != NULL) {
        s->cache[i]->used = ++s->cache_clock;
        found = ratoon__lineage_ref(s->cache[i]->lineage);
    }
    pthread_mutex_unlock(&s->cache_lock);
    return found;
}

void ratoon__projection_forget(ratoon_store *s, ratoon_id root)
{
    pthread_mutex_lock(&s->cache_lock);
    size_t i = slot_of(s, root);
    if (s->cache[i] != NULL) {
        slot_free(s, i);
    }
    pthread_mutex_unlock(&s->cache_lock);
}

void ratoon__projections_free(ratoon_store *s)
{
    for (size_t i = 0; s->cache != NULL && i < s->cache_capacity; i++) {
        if (s->cache[i] != NULL) {
            ratoon__lineage_unref(s->cache[i]->lineage);
            free(s->cache[i]);
        }
    }
    free(s->cache);
}

/* ---- folding the log ---- */

ratoon_status ratoon__fold_stored(ratoon__folding *f, const void *data, size_t size,
                                  ratoon_error *error)
{
    ratoon_digest digest = {{0}};
    ratoon__commit commit;
    ratoon_status status =
        ratoon__decode(f->store, f->driver, data, size, &f->arena, &commit, error);
    if (status == RATOON_OK) {
        status = commit.number < f->head ? RATOON_OK : ratoon__sha256(data, size, &digest);
        if (status == RATOON_OK) {
            status = ratoon__fold_into(&f->lineage, &commit, &digest, error);
            f->bytes += size;
        }
        ratoon__commit_release(&commit);
    }
    ratoon__arena_reset(&f->arena);
    return status;
}

typedef struct fold_context {
    ratoon__folding folding;
    uint64_t to; /* last commit to fold in; 0: all */
    ratoon_status status;
    ratoon_error *error;
} fold_context;

static bool fold_one(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                     const void *data, size_t size)
{
    fold_context *f = ctx;
    (void)position;
    (void)lineage;
    if (f->to != 0 && number > f->to) {
        return false;
    }
    f->status = ratoon__fold_stored(&f->folding, data, size, f->error);
    return f->status == RATOON_OK;
}

/* Folds what comes after *lineage, up to commit `to` (0: all); *bytes counts the commits' size.
 * Where that fails *lineage is as good as gone, and may be NULL. */
static ratoon_status fold_bytes(ratoon_store *s, ratoon__driver *d, ratoon__lineage **lineage,
                                uint64_t to, size_t *bytes, ratoon_error *error)
{
    fold_context c = {
        .folding = {.store = s, .driver = d, .lineage = *lineage}, .to = to, .error = error};
    ratoon__folding *f = &c.folding;
    ratoon_status status = d->ops->head(d, f->lineage->id, &f->head, error);
    f->head = to != 0 && to < f->head ? to : f->head;
    if (status == RATOON_OK && !ratoon__fold_by_two(f)) {
        status =
            d->ops->read(d, f->lineage->id, f->lineage->head + 1, true, false, fold_one, &c, error);
        status = status != RATOON_OK ? status : c.status;
    }
    ratoon__arena_free(&f->arena);
    *lineage = f->lineage;
    *bytes = f->bytes;
    return status;
}

ratoon_status ratoon__fold_range(ratoon_store *s, ratoon__driver *d, ratoon__lineage **lineage,
                                 uint64_t to, ratoon_error *error)
{
    size_t bytes = 0;
    return fold_bytes(s, d, lineage, to, &bytes, error);
}

ratoon_status ratoon__store_fold_from(ratoon_store *s, ratoon__lineage **lineage, uint64_t to,
                                      ratoon_error *error)
{
    return ratoon__fold_range(s, s->driver, lineage, to, error);
}

/* ---- snapshots ---- */

typedef struct resolve_context {
    ratoon_store *store;
    ratoon__driver *driver;
} resolve_context;

static ratoon_pipeline *resolve(void *ctx, ratoon_digest digest)
{
    resolve_context *r = ctx;
    ratoon_pipeline *p = NULL;
    return ratoon__definition_load(r->store, r->driver, &digest, &p, NULL) == RATOON_OK ? p : NULL;
}

ratoon_status ratoon__projection_from_snapshot(ratoon_store *s, ratoon__driver *d, ratoon_id root,
                                               uint64_t number, ratoon__lineage **out, size_t *size,
                                               ratoon_error *error)
{
    ratoon_buffer bytes = {0};
    uint64_t at = 0;
    *size = 0;
    ratoon_status status = d->ops->snapshot_get(d, root, number, &at, &bytes, error);
    if (status == RATOON_OK) {
        resolve_context r = {s, d};
        ratoon__lineage *l = NULL;
        status = ratoon__snapshot_decode(bytes.data, bytes.size, resolve, &r, &l, error);
        *size = bytes.size;
        ratoon_buffer_free(&bytes);
        if (status == RATOON_OK && ratoon_id_equal(l->id, root) && l->head == at) {
            *out = l;
            return RATOON_OK;
        }
        if (status == RATOON_OK) {
            ratoon__lineage_unref(l);
        }
    } else if (status != RATOON_ERR_NOT_FOUND) {
        return status;
    }
    *out = ratoon__lineage_new(root);
    return *out != NULL ? RATOON_OK : ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

/* Once the commits since the last one outweigh it: so a rebuild anywhere folds no more than about a
 * projection's worth of events, however long the history (S08). */
static bool snapshot_due(const ratoon__cached *c)
{
    return !c->lineage->deleted &&
           c->lineage->events >= c->snapshot_event + RATOON__SNAPSHOT_EVENTS &&
           c->bytes_since > c->snapshot_size;
}

/* Counts a commit, and gives the version to be stored where a snapshot is due. Caller holds
 * cache_lock. */
static ratoon__lineage *note_commit(ratoon__cached *c, size_t commit_size)
{
    c->bytes_since += commit_size;
    if (!snapshot_due(c)) {
        return NULL;
    }
    c->bytes_since = 0;
    c->snapshot_event = c->lineage->events;
    return ratoon__lineage_ref(c->lineage);
}

static void store_snapshot(ratoon_store *s, ratoon__driver *d, ratoon__lineage *l,
                           uint64_t size_before)
{
    ratoon__buf bytes = {0};
    ratoon__buf_reserve(&bytes,
                        (size_t)(size_before + size_before / 2)); /* grown since, but less */
    if (ratoon__snapshot_encode(l, &bytes) == RATOON_OK) {
        /* Derived: a snapshot that could not be stored costs time later, nothing else. */
        (void)d->ops->snapshot_put(d, l->id, l->head, bytes.data, bytes.size, NULL);
        pthread_mutex_lock(&s->cache_lock);
        size_t i = slot_of(s, l->id);
        if (s->cache[i] != NULL) {
            s->cache[i]->snapshot_size = bytes.size;
        }
        pthread_mutex_unlock(&s->cache_lock);
    }
    ratoon__buf_free(&bytes);
    ratoon__lineage_unref(l);
}

void ratoon__projection_publish(ratoon_store *s, ratoon__driver *d, const ratoon__lineage *l,
                                size_t commit_size)
{
    pthread_mutex_lock(&s->cache_lock);
    ratoon__cached *c = cache_put(s, l);
    ratoon__lineage *to_store = c != NULL ? note_commit(c, commit_size) : NULL;
    const uint64_t size_before = c != NULL ? c->snapshot_size : 0;
    pthread_mutex_unlock(&s->cache_lock);
    if (l->deleted) {
        ratoon__past_forget(s, &l->id); /* R20 */
    }
    if (to_store != NULL) {
        store_snapshot(s, d, to_store, size_before);
    }
}

void ratoon__projection_advance(ratoon_store *s, ratoon__driver *d, const ratoon__commit *commit,
                                const ratoon_digest *digest, size_t commit_size)
{
    ratoon__lineage *to_store = NULL;
    uint64_t size_before = 0;
    pthread_mutex_lock(&s->cache_lock);
    const size_t i = slot_of(s, commit->lineage);
    ratoon__cached *c = s->cache[i];
    if (c != NULL && c->lineage->head + 1 == commit->number &&
        ratoon__fold_into(&c->lineage, commit, digest, NULL) == RATOON_OK) {
        c->used = ++s->cache_clock;
        to_store = note_commit(c, commit_size);
        size_before = c->snapshot_size;
    } else if (c != NULL && (c->lineage == NULL || c->lineage->head < commit->number)) {
        slot_free(s, i); /* whoever needs it reads the log */
    }
    pthread_mutex_unlock(&s->cache_lock);
    if (to_store != NULL) {
        store_snapshot(s, d, to_store, size_before);
    }
}

/* ---- loading ---- */

/* *read: the head that was found, where commits had to be read for it. */
static ratoon_status load(ratoon_store *s, ratoon__driver *d, ratoon_id root, bool must_be_fresh,
                          uint64_t *read, ratoon__lineage **out, ratoon_error *error)
{
    ratoon__lineage *l = ratoon__projection_cached(s, root);
    *read = 0;
    if (l != NULL && !must_be_fresh) {
        *out = l;
        return RATOON_OK;
    }
    uint64_t head = 0;
    ratoon_status status = d->ops->head(d, root, &head, error);
    if (status != RATOON_OK || (l != NULL && l->head >= head)) {
        if (status == RATOON_OK) {
            *out = l;
        } else {
            ratoon__lineage_unref(l);
        }
        return status;
    }
    if (head == 0) {
        ratoon__lineage_unref(l);
        char text[RATOON_ID_TEXT];
        ratoon_id_format(root, text);
        return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no lineage %s", text);
    }
    *read = head;
    size_t snapshot_size = 0;
    size_t bytes = 0;
    bool from_store = l == NULL;
    if (from_store) {
        status =
            ratoon__projection_from_snapshot(s, d, root, UINT64_MAX, &l, &snapshot_size, error);
    }
    uint64_t snapshot_event = status == RATOON_OK ? l->events : 0;
    if (status == RATOON_OK) {
        status = fold_bytes(s, d, &l, 0, &bytes, error);
    }
    if (status != RATOON_OK) {
        ratoon__lineage_unref(l);
        return status;
    }
    pthread_mutex_lock(&s->cache_lock);
    ratoon__cached *c = cache_put(s, l);
    if (c != NULL && from_store) {
        c->snapshot_size = snapshot_size;
        c->snapshot_event = snapshot_event;
        c->bytes_since = bytes;
    } else if (c != NULL) {
        c->bytes_since += bytes;
    }
    pthread_mutex_unlock(&s->cache_lock);
    for (uint32_t i = 0; i < l->runs_count; i++) {
        ratoon__root_remember(s, l->runs[i]->fixed->id, root);
    }
    *out = l;
    return RATOON_OK;
}

ratoon_status ratoon__projection_load(ratoon_store *s, ratoon__driver *d, ratoon_id root,
                                      bool must_be_fresh, ratoon__lineage **out,
                                      ratoon_error *error)
{
    ratoon_status status;
    uint64_t read, head = 0;
    unsigned tries = 0;
    /* Of a lineage that is deleted meanwhile, commits may be found and their definitions not. */
    do {
        status = load(s, d, root, must_be_fresh, &read, out, error);
    } while (status == RATOON_ERR_DAMAGED && read != 0 && ++tries < LOADS_MAX &&
             d->ops->head(d, root, &head, NULL) == RATOON_OK && head != read);
    return status;
}

ratoon_status ratoon__store_lineage(ratoon_store *s, ratoon_id root, ratoon__lineage **out,
                                    ratoon_error *error)
{
    return ratoon__projection_load(s, s->driver, root, true, out, error);
}

void ratoon__root_remember(ratoon_store *s, ratoon_id run, ratoon_id root)
{
    size_t i = (size_t)(id_hash(run) >> 32) % RATOON__CACHED_ROOTS;
    pthread_mutex_lock(&s->cache_lock);
    s->roots[i].run = run;
    s->roots[i].root = root;
    pthread_mutex_unlock(&s->cache_lock);
}

ratoon_status ratoon__root_of(ratoon_store *s, ratoon__driver *d, ratoon_id run, ratoon_id *root,
                              ratoon_error *error)
{
    size_t i = (size_t)(id_hash(run) >> 32) % RATOON__CACHED_ROOTS;
    pthread_mutex_lock(&s->cache_lock);
    bool known = !ratoon_id_is_zero(run) && ratoon_id_equal(s->roots[i].run, run);
    ratoon_id found = s->roots[i].root;
    pthread_mutex_unlock(&s->cache_lock);
    if (!known) {
        ratoon_status status = d->ops->run_get(d, run, &found, error);
        if (status == RATOON_ERR_NOT_FOUND) {
            char text[RATOON_ID_TEXT];
            ratoon_id_format(run, text);
            (void)ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %s in this store",
                               text);
            ratoon__hint(error, "`ratoon list` shows the runs there are");
            return RATOON_ERR_NOT_FOUND;
        }
        if (status != RATOON_OK) {
            return status;
        }
        ratoon__root_remember(s, run, found);
    }
    *root = found;
    return RATOON_OK;
}

ratoon_status ratoon__store_run(ratoon_store *s, ratoon_id run, ratoon__lineage **lineage,
                                const ratoon__run **out, ratoon_error *error)
{
    ratoon_id root;
    ratoon__lineage *l = NULL;
    ratoon_status status = ratoon__root_of(s, s->driver, run, &root, error);
    if (status == RATOON_OK) {
        status = ratoon__store_lineage(s, root, &l, error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__run *r = ratoon__lineage_run(l, run);
    if (r == NULL) {
        char text[RATOON_ID_TEXT];
        ratoon_id_format(run, text);
        ratoon__lineage_unref(l);
        return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %s in this store", text);
    }
    *lineage = l;
    *out = r;
    return RATOON_OK;
}
