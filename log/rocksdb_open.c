/* Creating and opening a store. Opening proves what it can about the log's end before anything is
 * served (E04). */
#include "log/rocksdb_env.h"
#include "log/rocksdb_impl.h"

#include "log/folder.h"
#include "log/manifest.h"
#include "log/points.h"
#include "log/tables.h"

#include <rocksdb/c.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RECOVER_ALL = 0,     /* kAbsoluteConsistency: any flaw of the log is an error */
    RECOVER_TO_FLAW = 2, /* kPointInTimeRecovery: all that stands before the first flaw */
    LOG_QUIET = 5,       /* RocksDB asserts when it can't write its own diary on a full disk */
    BLOCK_SIZE = 16 << 10,
    /* Blocks of data, indexes and filters of all tables: what is kept in memory for reading doesn't
     * grow with the store. An index and a filter are read whole, some 200 KiB a file: so files are
     * small, and the cache has few parts, each with room for many of them. */
    CACHE_SIZE = 64 << 20,
    CACHE_SHARD_BITS = 2,
    FILE_SIZE = 16 << 20,
    BLOOM_BITS = 10,
    BLOB_SIZE_MIN = 1 << 10,
    /* Of commits and values in memory before they are written to tables. Reopening after a crash
     * reads as much back from the log: 0.7 s of processor time, with twice the size 1.5 s. */
    BUFFER_SIZE = 32 << 20,
    BUFFER_SIZE_SMALL = 16 << 20, /* of feed and derived rows */
    LOGS_SIZE_MAX = 128 << 20,    /* then older log files are made superfluous; bounds reopening */
    DIARIES_MAX = 3,
    OPENING_THREADS = 4,
    HEAD_SETS = 1 << 14,   /* times four heads, 32 bytes each: 2 MiB */
    STORED_SETS = 1 << 12, /* times four digests, 48 bytes each: 768 KiB */
    INTERVAL_DEFAULT_MS = 100,
};

/* Of a buffer's size: 20 bits a value of 1 KiB, the smallest. */
#define VALUES_BLOOM_RATIO 0.0025

static const char *const family_names[RATOON__FAMILIES] = {
    [RATOON__FAMILY_DERIVED] = "default",
    [RATOON__FAMILY_COMMITS] = "commits",
    [RATOON__FAMILY_VALUES] = "values",
    [RATOON__FAMILY_FEED] = "feed",
};

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

/* ---- options ---- */

typedef struct options_set {
    rocksdb_options_t *base;
    rocksdb_options_t *family[RATOON__FAMILIES];
    rocksdb_cache_t *cache;
    ratoon__rocks_listener *listener;
} options_set;

static rocksdb_options_t *family_options(const options_set *set, int family, bool hinted)
{
    rocksdb_options_t *o = rocksdb_options_create_copy(set->base);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, BLOCK_SIZE);
    rocksdb_block_based_options_set_block_cache(table, set->cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_options_set_block_based_table_factory(o, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    bool large = family == RATOON__FAMILY_COMMITS || family == RATOON__FAMILY_VALUES;
    rocksdb_options_set_target_file_size_base(o, FILE_SIZE);
    rocksdb_options_set_write_buffer_size(o, large ? BUFFER_SIZE : BUFFER_SIZE_SMALL);
    if (family == RATOON__FAMILY_COMMITS) {
        rocksdb_options_set_prefix_extractor(
            o, rocksdb_slicetransform_create_fixed_prefix(sizeof(ratoon_id)));
        o = hinted ? ratoon__rocks_hinted(o) : o;
    }
    if (family == RATOON__FAMILY_VALUES) {
        /* Each value is looked for before it is put (S05), and most are not there. */
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, VALUES_BLOOM_RATIO);
        rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    }
    if (family == RATOON__FAMILY_VALUES || family == RATOON__FAMILY_DERIVED) {
        rocksdb_options_set_enable_blob_files(o, 1);
        rocksdb_options_set_min_blob_size(o, BLOB_SIZE_MIN);
        rocksdb_options_set_blob_compression_type(o, rocksdb_zstd_compression);
        rocksdb_options_set_enable_blob_gc(o, 1);
    }
    return o;
}

static void options_make(options_set *set, int recovery, bool hinted)
{
    rocksdb_lru_cache_options_t *cache = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(cache, CACHE_SIZE);
    rocksdb_lru_cache_options_set_num_shard_bits(cache, CACHE_SHARD_BITS);
    set->cache = rocksdb_cache_create_lru_opts(cache);
    rocksdb_lru_cache_options_destroy(cache);
    set->base = rocksdb_options_create();
    rocksdb_options_set_info_log_level(set->base, LOG_QUIET);
    rocksdb_options_set_keep_log_file_num(set->base, DIARIES_MAX);
    rocksdb_options_set_max_background_jobs(set->base, 2);
    /* Tables are opened when the store is; RocksDB would start 15 threads a time for it, several
     * times, and an eighth of a short command's time goes into that. */
    rocksdb_options_set_max_file_opening_threads(set->base, OPENING_THREADS);
    rocksdb_options_set_max_total_wal_size(set->base, LOGS_SIZE_MAX);
    rocksdb_options_set_recycle_log_file_num(set->base, 0);
    rocksdb_options_set_wal_recovery_mode(set->base, recovery);
    /* All families are written to tables at once, so that the log holds either all of a group or
     * nothing. Else an old log file stays for the sake of a family that is rarely written, and a
     * flaw in the part of it that is long in tables makes RocksDB refuse to open at all. */
    rocksdb_options_set_atomic_flush(set->base, 1);
    for (int i = 0; i < RATOON__FAMILIES; i++) {
        set->family[i] = family_options(set, i, hinted);
    }
    set->base = ratoon__rocks_listened(ratoon__rocks_logs_ahead(set->base), &set->listener);
}

static void options_free(options_set *set)
{
    for (int i = 0; i < RATOON__FAMILIES; i++) {
        rocksdb_options_destroy(set->family[i]);
    }
    rocksdb_options_destroy(set->base);
    rocksdb_cache_destroy(set->cache);
}

static void close_db(rocksdb_t *db, rocksdb_column_family_handle_t **families)
{
    for (int i = 0; i < RATOON__FAMILIES; i++) {
        rocksdb_column_family_handle_destroy(families[i]);
    }
    rocksdb_close(db);
}

static rocksdb_t *open_path(const char *path, int recovery, bool create, bool hinted,
                            rocksdb_column_family_handle_t **families,
                            ratoon__rocks_listener **listener, char **message)
{
    options_set set;
    options_make(&set, recovery, hinted);
    rocksdb_options_set_create_if_missing(set.base, create);
    rocksdb_options_set_error_if_exists(set.base, create);
    rocksdb_options_set_create_missing_column_families(set.base, create);
    rocksdb_t *db = rocksdb_open_column_families(set.base, path, RATOON__FAMILIES, family_names,
                                                 (const rocksdb_options_t *const *)set.family,
                                                 families, message);
    *listener = set.listener;
    options_free(&set);
    return db;
}

/* A log of an earlier version may erase ranges that begin with a whole key (rocksdb_hint.c): that
 * is read back into tables without hints first. */
static rocksdb_t *open_db(const char *folder, int recovery, bool create,
                          rocksdb_column_family_handle_t **families,
                          ratoon__rocks_listener **listener, char **message)
{
    rocksdb_t *db = NULL;
    char *path = ratoon__path_join(folder, "db");
    if (path == NULL) {
        *message = ratoon__rocks_no_memory;
        return NULL;
    }
    if (!create && !ratoon__rocks_hinted_before(path)) {
        db = open_path(path, recovery, false, false, families, listener, message);
        if (*message == NULL) {
            close_db(db, families);
        }
    }
    db = *message == NULL ? open_path(path, recovery, create, true, families, listener, message)
                          : NULL;
    free(path);
    return db;
}

void ratoon__rocks_close_db(ratoon__rocks *r)
{
    close_db(r->db, r->family);
    r->db = NULL;
}

/* ---- creating ---- */

static ratoon_status create_db(void *ctx, const char *folder, ratoon_error *error)
{
    (void)ctx;
    rocksdb_column_family_handle_t *families[RATOON__FAMILIES];
    ratoon__rocks_listener *listener;
    char *message = NULL;
    rocksdb_t *db = open_db(folder, RECOVER_ALL, true, families, &listener, &message);
    if (message != NULL) {
        return ratoon__rocks_error(message, "can't make the store", error);
    }
    close_db(db, families);
    return RATOON_OK;
}

ratoon_status ratoon__rocksdb_create(const char *path, ratoon_error *error)
{
    return ratoon__folder_create(path, create_db, NULL, error);
}

/* ---- opening ---- */

/* Opens it with all, else with as much of the log as there is before its first flaw. */
static char *open_as_found(ratoon__rocks *r)
{
    char *message = NULL;
    r->db = open_db(r->path, RECOVER_ALL, false, r->family, &r->listener, &message);
    if (message != NULL && strncmp(message, "Corruption", 10) == 0) {
        /* An honest torn end looks like this too; what is lost, if anything, the witness tells. */
        rocksdb_free(message);
        message = NULL;
        r->db = open_db(r->path, RECOVER_TO_FLAW, false, r->family, &r->listener, &message);
    }
    return message;
}

ratoon_status ratoon__rocks_recover(ratoon__rocks *r, bool *mended, ratoon_error *error)
{
    if (ratoon__folder_room(r->path) < LOGS_SIZE_MAX + (uint64_t)RATOON__ROOM_MIN) {
        ratoon__ballast_set(r->path, 0); /* reading the log back needs room */
    }
    *mended = false;
    ratoon_status status = ratoon__tables_check(r->path, error);
    if (status != RATOON_OK) {
        return status;
    }
    char *message = open_as_found(r);
    if (message != NULL && strncmp(message, "Corruption", 10) == 0 &&
        ratoon__manifest_mend(r->path)) {
        char *still = open_as_found(r);
        *mended = still == NULL;
        if (still != NULL) {
            ratoon__manifest_unmend(r->path);
            rocksdb_free(still);
        } else {
            rocksdb_free(message);
            message = NULL;
        }
    }
    if (message == NULL) {
        return RATOON_OK;
    }
    status = ratoon__rocks_error(message, "can't open the store", error);
    if (status == RATOON_ERR_DAMAGED) {
        ratoon__hint(error, "restore the store from a backup; nothing was removed from it");
    }
    return status;
}

static void init_locks(ratoon__rocks *r)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->writer, NULL);
    pthread_mutex_init(&r->flush, NULL);
    pthread_mutex_init(&r->state, NULL);
    pthread_cond_init(&r->moved, &monotonic);
    pthread_cond_init(&r->keeper_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static ratoon__rocks *new_driver(const char *path, const ratoon__driver_options *options)
{
    ratoon__rocks *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    init_locks(r);
    r->driver.ops = &ratoon__rocks_ops;
    r->lock_fd = -1;
    r->watch_fd = -1;
    r->witness.fd = -1;
    r->options = *options;
    if (r->options.value_max == 0) {
        r->options.value_max = RATOON_VALUE_MAX_DEFAULT;
    }
    if (r->options.interval_ms == 0) {
        r->options.interval_ms = INTERVAL_DEFAULT_MS;
    }
    ratoon__pending_list_init(&r->group.staged);
    r->get_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_prefix_same_as_start(r->get_options, 1);
    /* Asked to stop where the prefix does, RocksDB would compare it for each entry. */
    r->run_options = rocksdb_readoptions_create();
    r->scan_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_total_order_seek(r->scan_options, 1);
    r->verify_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_total_order_seek(r->verify_options, 1);
    rocksdb_readoptions_set_verify_checksums(r->verify_options, 1);
    rocksdb_readoptions_set_fill_cache(r->verify_options, 0);
    r->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write_sync, 1);
    r->write_plain = rocksdb_writeoptions_create();
    r->batch = rocksdb_writebatch_create();
    r->derived_batch = rocksdb_writebatch_create();
    r->path = strdup(path);
    if (r->path == NULL || !ratoon__slots_init(&r->heads, sizeof(ratoon_id), HEAD_SETS) ||
        !ratoon__slots_init(&r->stored, sizeof(ratoon_digest), STORED_SETS) ||
        !ratoon__pending_init(&r->pending) || !ratoon__pending_init(&r->flushing) ||
        !ratoon__pending_init(&r->written)) {
        ratoon__rocks_close(&r->driver);
        return NULL;
    }
    return r;
}

ratoon_status ratoon__rocksdb_open(const char *path, const ratoon__driver_options *options,
                                   ratoon__driver **out, ratoon_error *error)
{
    ratoon_status status = ratoon__folder_check(path, error);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__rocks *r = new_driver(path, options);
    if (r == NULL) {
        return no_memory(error);
    }
    status = ratoon__folder_mend(path, error);
    if (status == RATOON_OK) {
        status = ratoon__folder_lock(path, &r->lock_fd, error);
    }
    if (status == RATOON_OK) {
        ratoon__at(RATOON__POINT_OPEN_LOCKED);
        status = ratoon__rocks_open_proven(r, error);
    }
    if (r->db != NULL) {
        ratoon__ballast_set(r->path, RATOON__BALLAST_MIN);
        r->ballast = ratoon__ballast_grow(r->path, RATOON__BALLAST_MIN) ? RATOON__BALLAST_MIN : 0;
        if (!ratoon__rocks_keeper_start(r)) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "can't start a thread");
        } else if (status == RATOON_OK || status == RATOON_ERR_DAMAGED) {
            *out = &r->driver;
            return status;
        }
    }
    ratoon__rocks_close(&r->driver);
    return status;
}
