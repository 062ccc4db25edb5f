/* Closing a store: it is whole on disk then, and opening it is quick. */
#include "log/rocksdb_impl.h"

#include "log/folder.h"
#include "log/points.h"
#include "log/thread.h"

#include <rocksdb/c.h>

#include <stdlib.h>
#include <unistd.h>

enum {
    CLOSE_FLUSH_MIN = 4 << 20, /* a log larger than this is written out */
    RECOVERY_WAIT_MS = 10000,  /* RocksDB looks for room every 5 s */
};

void ratoon__rocks_to_tables(ratoon__rocks *r)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    for (int i = 0; i < RATOON__FAMILIES; i++) {
        char *message = NULL;
        rocksdb_flush_cf(r->db, options, r->family[i], &message);
        if (message != NULL) {
            rocksdb_free(message); /* it is all in the log */
            break;
        }
    }
    rocksdb_flushoptions_destroy(options);
}

static void flush_families(ratoon__rocks *r)
{
    uint64_t size = 0;
    uint64_t sum = 0;
    for (int i = 0; i < RATOON__FAMILIES; i++) {
        if (rocksdb_property_int_cf(r->db, r->family[i], "rocksdb.cur-size-active-mem-table",
                                    &size) == 0) {
            sum += size;
        }
    }
    if (sum > CLOSE_FLUSH_MIN) {
        ratoon__rocks_to_tables(r);
    }
}

static void close_rest(ratoon__rocks *r)
{
    if (r->db != NULL) {
        ratoon__rocks_close_db(r);
        ratoon__ballast_set(r->path, RATOON__BALLAST_MIN);
    }
    ratoon__witness_close(&r->witness);
    if (r->lock_fd >= 0) {
        close(r->lock_fd);
    }
    ratoon__pending_free(&r->pending);
    ratoon__pending_free(&r->flushing);
    ratoon__pending_free(&r->written);
    ratoon__slots_free(&r->heads);
    ratoon__slots_free(&r->stored);
    ratoon__group_free(&r->group);
    rocksdb_writebatch_destroy(r->batch);
    rocksdb_writebatch_destroy(r->derived_batch);
    rocksdb_readoptions_destroy(r->get_options);
    rocksdb_readoptions_destroy(r->run_options);
    rocksdb_readoptions_destroy(r->scan_options);
    rocksdb_readoptions_destroy(r->verify_options);
    rocksdb_writeoptions_destroy(r->write_sync);
    rocksdb_writeoptions_destroy(r->write_plain);
    pthread_cond_destroy(&r->moved);
    pthread_cond_destroy(&r->keeper_wake);
    pthread_mutex_destroy(&r->writer);
    pthread_mutex_destroy(&r->flush);
    pthread_mutex_destroy(&r->state);
    free(r->path);
    free(r);
}

/* ---- where that may take for ever ---- */

/* The one that is done with it last frees it. */
typedef struct closing {
    ratoon__rocks *rocks;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed, left;
} closing;

static void closing_free(closing *c)
{
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void *close_aside(void *arg)
{
    closing *c = arg;
    close_rest(c->rocks);
    pthread_mutex_lock(&c->lock);
    c->closed = true;
    const bool last = c->left;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (last) {
        closing_free(c);
    }
    return NULL;
}

static closing *closing_start(ratoon__rocks *r)
{
    closing *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    c->rocks = r;
    pthread_t thread;
    if (ratoon__thread_start(&thread, close_aside, c) != 0) {
        closing_free(c);
        return NULL;
    }
    pthread_detach(thread);
    return c;
}

/* RocksDB may wait without end (rocksdb_listener.cc). Then its database is left as it is, and with
 * it the lock: to everybody else the store is busy for as long as this process lives. All that was
 * acknowledged was synced before. */
static void close_or_leave(ratoon__rocks *r)
{
    closing *c = closing_start(r);
    if (c == NULL) {
        close_rest(r);
        return;
    }
    const struct timespec deadline = ratoon__deadline_after(RECOVERY_WAIT_MS);
    int waited = 0;
    pthread_mutex_lock(&c->lock);
    while (!c->closed && waited == 0) {
        waited = pthread_cond_timedwait(&c->changed, &c->lock, &deadline);
    }
    c->left = true;
    const bool last = c->closed;
    pthread_mutex_unlock(&c->lock);
    if (last) {
        closing_free(c);
    }
}

void ratoon__rocks_close(ratoon__driver *d)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    bool recovers = false;
    ratoon__rocks_keeper_stop(r);
    if (r->db != NULL) {
        /* In every mode: a store that was closed is whole on disk. Failures leave what a crash
         * would leave, and are found at the next opening. */
        ratoon__at(RATOON__POINT_CLOSE_BEGIN);
        (void)ratoon__rocks_flush_derived(r, NULL);
        (void)ratoon__rocks_sync(r, NULL);
        ratoon__at(RATOON__POINT_CLOSE_SYNCED);
        recovers = ratoon__rocks_listener_close(r->listener);
        flush_families(r);
        ratoon__at(RATOON__POINT_CLOSE_FLUSHED);
    }
    if (recovers) {
        close_or_leave(r);
    } else {
        close_rest(r);
    }
}
