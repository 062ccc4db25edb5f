#include "bench/support/raw_store.h"

#include "bench/support/peer.h"

#include "log/digest_many.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>

#define FAMILIES_MAX 16
#define DIGESTS_MAX 32 /* made at once, as verification does */

struct bench_raw {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read_options, *check_options;
    rocksdb_column_family_handle_t *handles[FAMILIES_MAX];
    size_t handles_count;
    rocksdb_column_family_handle_t *commits;
};

static void must(char *problem)
{
    if (problem != NULL) {
        bench_die(problem, NULL);
    }
}

static rocksdb_options_t *options_make(void)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(64 << 20);
    rocksdb_block_based_options_set_block_size(table, 16 << 10);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_options_set_prefix_extractor(options, rocksdb_slicetransform_create_fixed_prefix(16));
    rocksdb_options_set_info_log_level(options, 5);
    rocksdb_block_based_options_destroy(table);
    rocksdb_cache_destroy(cache);
    return options;
}

bench_raw *bench_raw_open(const char *dir)
{
    bench_raw *r = calloc(1, sizeof *r);
    const rocksdb_options_t *options[FAMILIES_MAX];
    char path[BENCH_PATH_MAX];
    char *problem = NULL;
    bench_path(path, dir, "store/db");
    r->options = options_make();
    char **names = rocksdb_list_column_families(r->options, path, &r->handles_count, &problem);
    must(problem);
    if (r->handles_count > FAMILIES_MAX) {
        bench_die("the store has more column families than expected", NULL);
    }
    for (size_t i = 0; i < r->handles_count; i++) {
        options[i] = r->options;
    }
    r->db = rocksdb_open_for_read_only_column_families(r->options, path, (int)r->handles_count,
                                                       (const char *const *)names, options,
                                                       r->handles, 0, &problem);
    must(problem);
    for (size_t i = 0; i < r->handles_count; i++) {
        if (strcmp(names[i], "commits") == 0) {
            r->commits = r->handles[i];
        }
    }
    rocksdb_list_column_families_destroy(names, r->handles_count);
    if (r->commits == NULL) {
        bench_die("the store has no column family \"commits\"", NULL);
    }
    r->read_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_total_order_seek(r->read_options, 1);
    r->check_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_total_order_seek(r->check_options, 1);
    rocksdb_readoptions_set_verify_checksums(r->check_options, 1);
    rocksdb_readoptions_set_fill_cache(r->check_options, 0);
    return r;
}

uint64_t bench_raw_scan(bench_raw *r, const ratoon_id *lineage, uint64_t *bytes)
{
    char first[BENCH_KEY_SIZE] = {0};
    uint64_t count = 0;
    if (lineage != NULL) {
        bench_key(first, *lineage, 0);
    }
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->read_options, r->commits);
    for (rocksdb_iter_seek(it, first, sizeof first); rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        size_t key_size, size;
        const char *key = rocksdb_iter_key(it, &key_size);
        if (lineage != NULL && memcmp(key, lineage->bytes, 16) != 0) {
            break;
        }
        (void)rocksdb_iter_value(it, &size);
        *bytes += size;
        count++;
    }
    rocksdb_iter_destroy(it);
    return count;
}

uint64_t bench_raw_check(bench_raw *r, bool look_up)
{
    uint64_t count = 0;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->check_options, r->commits);
    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_size, size;
        const char *key = rocksdb_iter_key(it, &key_size);
        const char *value = rocksdb_iter_value(it, &size);
        count++;
        if (!look_up) {
            continue;
        }
        char *problem = NULL;
        size_t found_size = 0;
        rocksdb_pinnableslice_t *found =
            rocksdb_get_pinned_cf(r->db, r->check_options, r->commits, key, key_size, &problem);
        must(problem);
        const char *bytes = found != NULL ? rocksdb_pinnableslice_value(found, &found_size) : NULL;
        if (bytes == NULL || found_size != size || memcmp(bytes, value, size) != 0) {
            bench_die("iteration and look-up give different bytes", NULL);
        }
        rocksdb_pinnableslice_destroy(found);
    }
    rocksdb_iter_destroy(it);
    return count;
}

typedef struct batch {
    ratoon__digest_job jobs[DIGESTS_MAX];
    size_t offsets[DIGESTS_MAX], count;
    char *bytes; /* what the iterator lends is gone with its next step */
    size_t used, capacity;
} batch;

static void batch_add(batch *b, const char *data, size_t size)
{
    if (b->used + size > b->capacity) {
        b->capacity = 2 * (b->used + size);
        b->bytes = realloc(b->bytes, b->capacity);
        if (b->bytes == NULL) {
            bench_die("memory", NULL);
        }
    }
    memcpy(b->bytes + b->used, data, size);
    b->offsets[b->count] = b->used;
    b->jobs[b->count++].size = size;
    b->used += size;
}

static void batch_digest(batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        b->jobs[i].data = b->bytes + b->offsets[i];
    }
    if (b->count > 0 && ratoon__sha256_many(b->jobs, b->count) != RATOON_OK) {
        bench_die("SHA-256", NULL);
    }
    b->count = b->used = 0;
}

uint64_t bench_raw_digest(bench_raw *r)
{
    batch b = {.count = 0};
    uint64_t count = 0;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->check_options, r->commits);
    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t size;
        const char *value = rocksdb_iter_value(it, &size);
        count++;
        batch_add(&b, value, size);
        if (b.count == DIGESTS_MAX) {
            batch_digest(&b);
        }
    }
    batch_digest(&b);
    free(b.bytes);
    rocksdb_iter_destroy(it);
    return count;
}

void bench_raw_close(bench_raw *r)
{
    for (size_t i = 0; i < r->handles_count; i++) {
        rocksdb_column_family_handle_destroy(r->handles[i]);
    }
    rocksdb_close(r->db);
    rocksdb_options_destroy(r->options);
    rocksdb_readoptions_destroy(r->read_options);
    rocksdb_readoptions_destroy(r->check_options);
    free(r);
}
