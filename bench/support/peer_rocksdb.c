/* Raw RocksDB: one put a commit; the same with a digest of what is put, made beforehand; the
 * commits of all clients in one batch, which nobody has to be woken for; and three puts in one
 * batch, as a plain event store would do it (the event, the head of its stream, the row of its
 * run). Options are RocksDB's own but for those that the library sets for its commits too: buffer
 * and block size, two background jobs. */
#include "bench/support/rocks.h"

#include "log/digest.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>

typedef struct rocks {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write_options;
    rocksdb_readoptions_t *read_options;
    rocksdb_writebatch_t *batch; /* of bench_rocksdb_batched: what is not written yet */
    unsigned batch_max;
} rocks;

static void must(char *problem)
{
    if (problem != NULL) {
        bench_die(problem, NULL);
    }
}

static const char *rocks_version(void)
{
    return bench_loaded_version("rocksdb_put");
}

static void *rocks_open(const bench_options *o, const char *dir, unsigned clients, bool sync,
                        bool reopen)
{
    rocks *r = calloc(1, sizeof *r);
    char path[BENCH_PATH_MAX];
    char *problem = NULL;
    (void)o;
    (void)reopen;
    r->batch = rocksdb_writebatch_create();
    r->batch_max = clients;
    bench_path(path, dir, "rocksdb");
    r->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(r->options, 1);
    rocksdb_options_set_write_buffer_size(r->options, 32u << 20);
    rocksdb_options_set_max_background_jobs(r->options, 2);
    rocksdb_options_set_info_log_level(r->options, 5);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, 16 << 10);
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(64 << 20);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_options_set_block_based_table_factory(r->options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_cache_destroy(cache);
    r->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write_options, sync ? 1 : 0);
    r->read_options = rocksdb_readoptions_create();
    r->db = rocksdb_open(r->options, path, &problem);
    must(problem);
    return r;
}

/* The commit, and the value behind it where there is one: one row. */
static void add_event(rocksdb_writebatch_t *batch, const bench_record *record)
{
    char key[BENCH_KEY_SIZE];
    bench_key(key, record->lineage, record->number);
    const char *keys[1] = {key};
    const size_t key_sizes[1] = {sizeof key};
    const char *parts[2] = {record->data, record->value};
    const size_t sizes[2] = {record->size, record->value_size};
    rocksdb_writebatch_putv(batch, 1, keys, key_sizes, record->value != NULL ? 2 : 1, parts, sizes);
}

static void rocks_put(void *peer, unsigned client, const bench_record *record)
{
    rocks *r = peer;
    char *problem = NULL;
    (void)client;
    if (record->value != NULL) {
        rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
        add_event(batch, record);
        rocksdb_write(r->db, r->write_options, batch, &problem);
        rocksdb_writebatch_destroy(batch);
    } else {
        char key[BENCH_KEY_SIZE];
        bench_key(key, record->lineage, record->number);
        rocksdb_put(r->db, r->write_options, key, sizeof key, record->data, record->size, &problem);
    }
    must(problem);
}

/* What no store with a digest chain can do without: nothing is to be had beyond it. */
static void rocks_put_digested(void *peer, unsigned client, const bench_record *record)
{
    ratoon_digest digest;
    if (ratoon__sha256(record->data, record->size, &digest) != RATOON_OK ||
        (record->value != NULL &&
         ratoon__sha256(record->value, record->value_size, &digest) != RATOON_OK)) {
        bench_die("SHA-256", NULL);
    }
    rocks_put(peer, client, record);
}

void bench_rocks_add(void *peer, const bench_record *record)
{
    const rocks *r = peer;
    add_event(r->batch, record);
}

void bench_rocks_write(void *peer)
{
    const rocks *r = peer;
    char *problem = NULL;
    rocksdb_write(r->db, r->write_options, r->batch, &problem);
    rocksdb_writebatch_clear(r->batch);
    must(problem);
}

static void rocks_put_batched(void *peer, unsigned client, const bench_record *record)
{
    const rocks *r = peer;
    (void)client;
    bench_rocks_add(peer, record);
    if ((unsigned)rocksdb_writebatch_count(r->batch) == r->batch_max) {
        bench_rocks_write(peer);
    }
}

static void rocks_put3(void *peer, unsigned client, const bench_record *record)
{
    rocks *r = peer;
    char *problem = NULL;
    char head[17] = "h", row[17] = "r", facts[80];
    (void)client;
    memcpy(head + 1, record->lineage.bytes, 16);
    memcpy(row + 1, record->lineage.bytes, 16);
    memset(facts, 'x', sizeof facts);
    memcpy(facts, &record->number, sizeof record->number);
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    add_event(batch, record);
    rocksdb_writebatch_put(batch, head, sizeof head, (const char *)&record->number,
                           sizeof record->number);
    rocksdb_writebatch_put(batch, row, sizeof row, facts, sizeof facts);
    rocksdb_write(r->db, r->write_options, batch, &problem);
    rocksdb_writebatch_destroy(batch);
    must(problem);
}

static uint64_t rocks_scan(void *peer, ratoon_id lineage, uint64_t *bytes)
{
    rocks *r = peer;
    char first[BENCH_KEY_SIZE];
    uint64_t count = 0;
    bench_key(first, lineage, 0);
    rocksdb_iterator_t *it = rocksdb_create_iterator(r->db, r->read_options);
    for (rocksdb_iter_seek(it, first, sizeof first); rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        size_t key_size, size;
        const char *key = rocksdb_iter_key(it, &key_size);
        if (key_size != BENCH_KEY_SIZE || memcmp(key, lineage.bytes, 16) != 0) {
            break;
        }
        (void)rocksdb_iter_value(it, &size);
        *bytes += size;
        count++;
    }
    rocksdb_iter_destroy(it);
    return count;
}

static void rocks_close(void *peer)
{
    rocks *r = peer;
    rocksdb_writebatch_destroy(r->batch);
    rocksdb_close(r->db);
    rocksdb_options_destroy(r->options);
    rocksdb_writeoptions_destroy(r->write_options);
    rocksdb_readoptions_destroy(r->read_options);
    free(r);
}

const bench_peer bench_rocksdb = {
    .name = "rocksdb",
    .how = "one put a commit; concurrent writers share its own group commit",
    .sync_mode = "sync write",
    .none_mode = "write without sync",
    .version = rocks_version,
    .open = rocks_open,
    .put = rocks_put,
    .scan = rocks_scan,
    .close = rocks_close,
};

const bench_peer bench_rocksdb_digested = {
    .name = "rocksdb-sha256",
    .how = "one put a commit after a SHA-256 of its bytes and of its value",
    .sync_mode = "sync write",
    .none_mode = "write without sync",
    .version = rocks_version,
    .open = rocks_open,
    .put = rocks_put_digested,
    .scan = rocks_scan,
    .close = rocks_close,
};

const bench_peer bench_rocksdb_batched = {
    .name = "rocksdb-batch",
    .how = "the commits of all clients in one batch by one thread",
    .sync_mode = "sync write of a batch of as many commits as there are threads",
    .batches = true,
    .version = rocks_version,
    .open = rocks_open,
    .put = rocks_put_batched,
    .scan = rocks_scan,
    .close = rocks_close,
};

const bench_peer bench_rocksdb3 = {
    .name = "rocksdb-3puts",
    .how = "three puts a commit in one batch: event, head of the stream, row of the run",
    .sync_mode = "sync write",
    .none_mode = "write without sync",
    .version = rocks_version,
    .open = rocks_open,
    .put = rocks_put3,
    .scan = rocks_scan,
    .close = rocks_close,
};
