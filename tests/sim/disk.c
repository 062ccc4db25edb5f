/* The store's files are a memory driver that outlives the processes. One process owns it at a time,
 * the others reach it through the owner, over connections that can be lost with or without what was
 * asked for being done. These functions stand in for the RocksDB driver, the socket client and the
 * server; attach.c above them is the real one. */
#include "log/attach.h"
#include "log/points.h"
#include "log/socket_client.h"
#include "log/store_holder.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct link_ link_;
struct link_ {
    ratoon__driver base;
    link_ *next;
    sim_proc *proc;
    bool owner, lost, closed;
};

struct ratoon__server {
    sim_proc *proc;
    void (*on_disconnect)(void *ctx);
    void *ctx;
    unsigned gone; /* clients that have gone and were not looked after yet */
    bool stopping;
    sim_fiber *thread;
};

typedef struct kept { /* a group of which the sync failed */
    ratoon__append *appends;
    size_t count;
    ratoon__arena arena;
} kept;

static ratoon__driver *disk;
static sim_proc *owner;
static bool read_only; /* the owner's database, after an error */
static ratoon__server *server;
static link_ *links;
static kept limbo;
static bool slow, armed[SIM_DISK_KILLS_OWNER + 1];

ratoon__driver *sim_disk(void)
{
    return disk;
}

sim_proc *sim_disk_owner(void)
{
    return owner;
}

static bool strikes(sim_disk_fault fault);

/* Named points of the code: others may go on there, and a process may end. */
static void at_point(ratoon__point point)
{
    sim_proc *me = sim_self();
    if (me == NULL || me->dead || sim_atomic != 0) {
        return;
    }
    if (sim_chance(100)) {
        sim_sleep(sim_below(2 * SIM_MS));
    }
    if (armed[SIM_DISK_KILLS_AT_POINT] && sim_chance(300) && strikes(SIM_DISK_KILLS_AT_POINT)) {
        sim_note("at %s", ratoon__point_names[point]);
        sim_kill(me);
    }
}

void sim_disk_open(void)
{
    ratoon__point_hook = at_point;
    ratoon_error error;
    if (ratoon__memory_open(NULL, &disk, &error) != RATOON_OK) {
        sim_fail("simulation", "%s", error.message);
    }
}

static void limbo_free(void)
{
    free(limbo.appends);
    ratoon__arena_free(&limbo.arena);
    limbo = (kept){0};
}

void sim_disk_close(void)
{
    limbo_free();
    disk->ops->close(disk);
    disk = NULL;
}

void sim_disk_break(sim_disk_fault fault)
{
    if (fault == SIM_DISK_SLOW) {
        slow = true;
    } else {
        armed[fault] = true;
    }
}

void sim_disk_mend(void)
{
    slow = false;
    memset(armed, 0, sizeof armed);
}

/* One chance at a time: most of the answers to a fault are seen when it is the only one. */
static bool strikes(sim_disk_fault fault)
{
    bool now = armed[fault];
    armed[fault] = false;
    return now;
}

/* ---- ownership ---- */

static void lose(link_ *l)
{
    if (!l->owner && !l->lost) {
        l->lost = true;
        sim_wake(l, ~0u);
    }
}

static void client_gone(link_ *l)
{
    if (!l->owner && !l->lost && server != NULL) {
        server->gone++;
        sim_wake(server, ~0u);
    }
}

static void owner_gone(void)
{
    owner = NULL;
    read_only = false;
    server = NULL;
    for (link_ *l = links; l != NULL; l = l->next) {
        lose(l);
    }
}

void sim_disk_died(sim_proc *p)
{
    for (link_ *l = links; l != NULL; l = l->next) {
        if (l->proc == p && !l->closed) {
            client_gone(l);
        }
    }
    if (owner == p) {
        owner_gone();
    }
}

/* ---- a call ---- */

static ratoon_status dead(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_IO, "this process was killed");
}

static ratoon_status lost(ratoon_error *error)
{
    ratoon_status status =
        ratoon__fail(error, RATOON_ERR_STORE_BUSY, "the connection to the owner is lost");
    if (error != NULL) {
        error->backend_code = ECONNRESET;
    }
    return status;
}

static ratoon_status check(const link_ *l, ratoon_error *error)
{
    return l->proc->dead ? dead(error) : l->lost ? lost(error) : RATOON_OK;
}

/* The way of a request to the store, or of its answer. */
static ratoon_status travel(link_ *l, ratoon_error *error)
{
    if (l->proc->dead) {
        return dead(error);
    }
    if (!l->owner) {
        sim_sleep(sim_chance(20) ? sim_below(40 * SIM_MS) : sim_below(200 * SIM_US));
    } else if (sim_chance(250)) {
        sim_yield();
    }
    return check(l, error);
}

#define CALL(operation, ...)                                                                       \
    link_ *l = (link_ *)d;                                                                         \
    ratoon_status status = travel(l, error);                                                       \
    if (status == RATOON_OK) {                                                                     \
        status = disk->ops->operation(disk, __VA_ARGS__, error);                                   \
    }                                                                                              \
    return check(l, error) != RATOON_OK ? check(l, error) : status

static ratoon_status link_head(ratoon__driver *d, ratoon_id lineage, uint64_t *head,
                               ratoon_error *error)
{
    CALL(head, lineage, head);
}

static ratoon_status link_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                               bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                               ratoon_error *error)
{
    CALL(read, lineage, from, one_lineage, verify, fn, ctx);
}

static ratoon_status link_tail(ratoon__driver *d, uint64_t from, uint32_t timeout_ms,
                               ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    link_ *l = (link_ *)d;
    const uint64_t until = sim_clock_ns() + timeout_ms * SIM_MS;
    ratoon_status status = travel(l, error);
    while (status == RATOON_OK) { /* in slices, so that a loss is noticed */
        const uint64_t now = sim_clock_ns();
        const uint64_t left = until > now ? (until - now) / SIM_MS : 0;
        status = disk->ops->tail(disk, from, left < 50 ? (uint32_t)left : 50, fn, ctx, error);
        if (status != RATOON_ERR_TIMED_OUT || left <= 50) {
            return check(l, error) != RATOON_OK ? check(l, error) : status;
        }
        status = check(l, error);
    }
    return status;
}

static ratoon_status link_end(ratoon__driver *d, uint64_t *position, ratoon_error *error)
{
    CALL(end, position);
}

static ratoon_status link_value_get(ratoon__driver *d, const ratoon_digest *digest,
                                    ratoon_buffer *out, ratoon_error *error)
{
    link_ *l = (link_ *)d;
    ratoon_status status = travel(l, error);
    return status != RATOON_OK ? status : disk->ops->value_get(disk, digest, out, error);
}

static ratoon_status link_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                ratoon__head_fn fn, void *ctx, ratoon_error *error)
{
    CALL(heads, after, before, fn, ctx);
}

static ratoon_status link_values(ratoon__driver *d, ratoon__digest_fn fn, void *ctx,
                                 ratoon_error *error)
{
    CALL(values, fn, ctx);
}

static ratoon_status link_values_from(ratoon__driver *d, const ratoon_digest *from,
                                      ratoon__digest_fn fn, void *ctx, ratoon_error *error)
{
    CALL(values_from, from, fn, ctx);
}

static ratoon_status link_run_get(ratoon__driver *d, ratoon_id run, ratoon_id *root,
                                  ratoon_error *error)
{
    CALL(run_get, run, root);
}

/* A client has the whole answer before it calls back, so a loss comes before the first row. */
static ratoon_status link_list(ratoon__driver *d, const ratoon__list_query *query,
                               ratoon__row_fn fn, void *ctx, ratoon_error *error)
{
    link_ *l = (link_ *)d;
    ratoon_status status = travel(l, error);
    return status != RATOON_OK ? status : disk->ops->list(disk, query, fn, ctx, error);
}

static ratoon_status link_claim_get(ratoon__driver *d, const char *name, ratoon_id *holder,
                                    ratoon_error *error)
{
    CALL(claim_get, name, holder);
}

static ratoon_status link_claims(ratoon__driver *d, const char *prefix, const char *after,
                                 ratoon__claim_fn fn, void *ctx, ratoon_error *error)
{
    link_ *l = (link_ *)d;
    ratoon_status status = travel(l, error);
    return status != RATOON_OK ? status : disk->ops->claims(disk, prefix, after, fn, ctx, error);
}

static ratoon_status link_snapshot_get(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                       uint64_t *at, ratoon_buffer *out, ratoon_error *error)
{
    link_ *l = (link_ *)d;
    ratoon_status status = travel(l, error);
    return status != RATOON_OK ? status
                               : disk->ops->snapshot_get(disk, lineage, number, at, out, error);
}

static ratoon_status link_snapshot_put(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                       const void *data, size_t size, ratoon_error *error)
{
    CALL(snapshot_put, lineage, number, data, size);
}

static ratoon_status link_sweep(ratoon__driver *d, const ratoon_digest *digests,
                                size_t digests_count, uint64_t end, uint64_t *count,
                                uint64_t *bytes, ratoon_error *error)
{
    CALL(sweep, digests, digests_count, end, count, bytes);
}

/* ---- appending ---- */

static void keep(const ratoon__append *appends, size_t count)
{
    limbo_free();
    ratoon__arena *a = &limbo.arena;
    limbo.count = count;
    limbo.appends = calloc(count, sizeof *limbo.appends);
    for (size_t i = 0; i < count; i++) {
        ratoon__append *to = &limbo.appends[i];
        *to = appends[i];
        to->data = ratoon__arena_memdup(a, to->data, to->size);
        ratoon__stored_value *values =
            ratoon__arena_alloc(a, to->values_count * sizeof *values + 1);
        for (size_t k = 0; k < to->values_count; k++) {
            values[k] = to->values[k];
            values[k].data = ratoon__arena_memdup(a, values[k].data, values[k].size);
        }
        to->values = values;
        ratoon__claim *claims = ratoon__arena_alloc(a, to->claims_count * sizeof *claims + 1);
        for (size_t k = 0; k < to->claims_count; k++) {
            claims[k] = to->claims[k];
            claims[k].name = ratoon__arena_strdup(a, claims[k].name);
        }
        to->claims = claims;
        ratoon__run_row *rows = ratoon__arena_alloc(a, to->rows_count * sizeof *rows + 1);
        for (size_t k = 0; k < to->rows_count; k++) {
            rows[k] = to->rows[k];
            rows[k].subject = ratoon__arena_strdup(a, rows[k].subject ? rows[k].subject : "");
            rows[k].pipeline = ratoon__arena_strdup(a, rows[k].pipeline ? rows[k].pipeline : "");
        }
        to->rows = rows;
    }
}

/* What a failed sync left in the log file is there, or not, when the store is opened again. */
static void reopen_log(void)
{
    if (limbo.count > 0) {
        const bool there = sim_chance(500);
        sim_note("the group of a failed sync is %s", there ? "there" : "lost");
        if (there) {
            (void)disk->ops->append(disk, limbo.appends, limbo.count, true, NULL);
            sim_log_follow(NULL);
        }
        limbo_free();
    }
}

static void note_append(const link_ *l, const ratoon__append *appends, size_t count,
                        ratoon_status status)
{
    sim_note("append of %zu%s: %s", count, l->owner ? "" : " by a client",
             status == RATOON_OK ? "" : ratoon_status_name(status));
    for (size_t i = 0; i < count; i++) {
        sim_note("  number %llu, %zu bytes: %s at %llu", (unsigned long long)appends[i].number,
                 appends[i].size, ratoon_status_name(appends[i].status),
                 (unsigned long long)(appends[i].status == RATOON_OK ? appends[i].position : 0));
    }
}

static ratoon_status write_group(link_ *l, ratoon__append *appends, size_t count, bool sync,
                                 ratoon_error *error)
{
    if (read_only) {
        return ratoon__fail(error, RATOON_ERR_READ_ONLY, "an append failed; reopen the store");
    }
    const bool refuses = strikes(SIM_DISK_REFUSES), keeps = strikes(SIM_DISK_KEEPS);
    if (refuses || keeps) {
        read_only = true;
        if (keeps) {
            keep(appends, count);
        }
        sim_note("sync fails");
        return ratoon__fail(error, RATOON_ERR_IO, "the sync failed");
    }
    ratoon_status status = disk->ops->append(disk, appends, count, sync, error);
    note_append(l, appends, count, status);
    sim_log_follow(l->proc);
    return status;
}

static void sync_time(void)
{
    if (slow) {
        sim_sleep(sim_chance(50) ? sim_below(3 * SIM_S) : sim_below(80 * SIM_MS));
    } else if (sim_chance(700)) {
        sim_sleep(sim_below(3 * SIM_MS));
    }
}

static ratoon_status link_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                 bool sync, ratoon_error *error)
{
    link_ *l = (link_ *)d;
    ratoon_status status = travel(l, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (strikes(SIM_DISK_KILLS_BEFORE)) {
        sim_kill(l->proc);
        return dead(error);
    }
    sync_time();
    status = check(l, error);
    if (status != RATOON_OK) {
        return status;
    }
    status = write_group(l, appends, count, sync, error);
    if (strikes(SIM_DISK_KILLS_AFTER)) {
        sim_kill(l->proc);
        return dead(error);
    }
    if (!l->owner && strikes(SIM_DISK_KILLS_OWNER) && owner != NULL) {
        sim_kill(owner);
    }
    if (!l->owner && strikes(SIM_DISK_HANGS_UP)) {
        sim_note("answer lost");
        client_gone(l);
        lose(l);
    }
    sync_time();
    ratoon_status arrived = travel(l, error);
    return arrived != RATOON_OK ? arrived : status;
}

static void link_close(ratoon__driver *d)
{
    link_ *l = (link_ *)d;
    if (!l->proc->dead) {
        client_gone(l);
        if (l->owner) {
            sim_note("gives the store back");
            owner_gone();
        }
    }
    for (link_ **at = &links; *at != NULL; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    free(l);
}

static const ratoon__driver_ops link_ops = {
    .name = "simulated",
    .append = link_append,
    .head = link_head,
    .heads = link_heads,
    .read = link_read,
    .tail = link_tail,
    .end = link_end,
    .value_get = link_value_get,
    .values = link_values,
    .values_from = link_values_from,
    .run_get = link_run_get,
    .list = link_list,
    .claim_get = link_claim_get,
    .claims = link_claims,
    .snapshot_get = link_snapshot_get,
    .snapshot_put = link_snapshot_put,
    .sweep = link_sweep,
    .close = link_close,
};

static ratoon__driver *link_new(bool as_owner)
{
    link_ *l = calloc(1, sizeof *l);
    l->base.ops = &link_ops;
    l->proc = sim_self();
    l->owner = as_owner;
    l->next = links;
    links = l;
    return &l->base;
}

/* ---- in the place of rocksdb_*.c ---- */

ratoon_status ratoon__rocksdb_open(const char *path, const ratoon__driver_options *options,
                                   ratoon__driver **out, ratoon_error *error)
{
    (void)options;
    sim_yield();
    if (sim_self()->dead) {
        return dead(error);
    }
    if (owner != NULL) {
        return ratoon__fail(error, RATOON_ERR_STORE_BUSY, "another process holds %s",
                            path[0] != '\0' ? "the store" : "nothing");
    }
    owner = sim_self();
    read_only = false;
    sim_note("owns the store");
    reopen_log();
    *out = link_new(true);
    sim_sleep(sim_below(5 * SIM_MS));
    return RATOON_OK;
}

ratoon_status ratoon__rocksdb_create(const char *path, ratoon_error *error)
{
    (void)path;
    return ratoon__fail(error, RATOON_ERR_UNSUPPORTED, "not in a simulation");
}

ratoon_status ratoon__rocksdb_derived_position(ratoon__driver *d, uint64_t *position,
                                               ratoon_error *error)
{
    uint64_t end = 0;
    ratoon_status status = d->ops->end(d, &end, error);
    if (status == RATOON_OK) {
        *position = end - 1; /* rows and claims of the memory driver are never behind */
    }
    return status;
}

ratoon_status ratoon__rocksdb_put_derived(ratoon__driver *d, const ratoon__run_row *rows,
                                          size_t rows_count, const ratoon__claim *claims,
                                          size_t claims_count, uint64_t position,
                                          ratoon_error *error)
{
    (void)d;
    (void)rows;
    (void)rows_count;
    (void)claims;
    (void)claims_count;
    (void)position;
    return ratoon__fail(error, RATOON_ERR_UNSUPPORTED, "not in a simulation");
}

ratoon_status ratoon__rocksdb_forget_derived(ratoon__driver *d, ratoon_error *error)
{
    (void)d;
    return ratoon__fail(error, RATOON_ERR_UNSUPPORTED, "not in a simulation");
}

ratoon_status ratoon__rocksdb_accept_loss(const char *path, ratoon_buffer *lost_,
                                          ratoon_error *error)
{
    (void)path;
    (void)lost_;
    return ratoon__fail(error, RATOON_ERR_UNSUPPORTED, "not in a simulation");
}

ratoon_status ratoon_store_accept_loss(const char *path, ratoon_buffer *lost_, ratoon_error *error)
{
    return ratoon__rocksdb_accept_loss(path, lost_, error);
}

/* ---- in the place of socket_*.c ---- */

ratoon_status ratoon__socket_connect(const char *store_path, uint32_t timeout_ms,
                                     ratoon__driver **out, ratoon_error *error)
{
    (void)store_path;
    (void)timeout_ms;
    sim_sleep(sim_below(300 * SIM_US));
    if (sim_self()->dead) {
        return dead(error);
    }
    if (server == NULL || server->stopping) {
        return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "nobody serves the store");
    }
    *out = link_new(false);
    return RATOON_OK;
}

ratoon_status ratoon__socket_open(const char *store_path, const ratoon__driver_options *options,
                                  ratoon__driver **out, ratoon_error *error)
{
    (void)options;
    return ratoon__socket_connect(store_path, 0, out, error);
}

bool ratoon__socket_is_lost(const ratoon__driver *d)
{
    const link_ *l = (const link_ *)d;
    return l->lost && !l->proc->dead;
}

static void serve(void *ctx)
{
    ratoon__server *s = ctx;
    while (!s->stopping) {
        if (s->gone == 0) {
            (void)sim_wait(s, s->proc->dead ? 0 : SIM_NEVER);
            continue;
        }
        s->gone--;
        sim_sleep(sim_below(2 * SIM_MS));
        sim_note("a client has gone");
        s->on_disconnect(s->ctx);
    }
}

ratoon_status ratoon__server_start(ratoon__driver *d, const char *store_path,
                                   void (*on_disconnect)(void *ctx), void *ctx,
                                   ratoon__server **out, ratoon_error *error)
{
    (void)d;
    (void)store_path;
    if (sim_self()->dead) {
        return dead(error);
    }
    ratoon__server *s = calloc(1, sizeof *s);
    s->proc = sim_self();
    s->on_disconnect = on_disconnect;
    s->ctx = ctx;
    server = s;
    s->thread = sim_thread(s->proc, "server", serve, s);
    *out = s;
    return RATOON_OK;
}

void ratoon__server_stop(ratoon__server *s)
{
    s->stopping = true;
    sim_wake(s, ~0u);
    sim_join(s->thread);
    if (server == s) {
        server = NULL;
        for (link_ *l = links; l != NULL; l = l->next) {
            lose(l);
        }
    }
    free(s);
}

/* ---- in the place of store_holder.c ---- */

bool ratoon__store_holder_find(const char *path, ratoon__store_holder *out)
{
    (void)path;
    if (owner == NULL) {
        return false;
    }
    *out = (ratoon__store_holder){.pid = owner->pid};
    (void)snprintf(out->name, sizeof out->name, "%s", owner->what);
    return true;
}

ratoon_status ratoon__store_holder_fail(const char *path, uint32_t waited_ms, ratoon_error *error)
{
    (void)path;
    return ratoon__fail(error, RATOON_ERR_STORE_BUSY, "the store is in use; waited %u ms",
                        waited_ms);
}

/* Executor locks are held by flocks; which simulated process holds one is known here. */
pid_t ratoon__lock_holder(const struct stat *file)
{
    for (sim_proc *p = sim_procs; p != NULL; p = p->next) {
        struct stat held;
        if (p->lock_fd >= 0 && fstat(p->lock_fd, &held) == 0 && held.st_ino == file->st_ino) {
            return p->pid;
        }
    }
    return 0;
}

bool ratoon__process_is_ending(pid_t pid)
{
    for (sim_proc *p = sim_procs; p != NULL; p = p->next) {
        if (p->pid == pid) {
            return p->dead;
        }
    }
    return false;
}
