/* The commits of a store that is closed, read with RocksDB alone: what the library's own reading is
 * compared with. The same files, blocks and cache size. */
#ifndef RATOON_BENCH_SUPPORT_RAW_STORE_H
#define RATOON_BENCH_SUPPORT_RAW_STORE_H

#include "bench/support/bench.h"

typedef struct bench_raw bench_raw;
/* Opens dir/store for reading. */
bench_raw *bench_raw_open(const char *dir);
/* Iterates over the commits of a lineage, or with NULL over all; gives how many, and the sum of
 * their sizes. */
uint64_t bench_raw_scan(bench_raw *r, const ratoon_id *lineage, uint64_t *bytes);
/* Iterates over all commits past the cache, with checksums, and where `look_up` says so gets each
 * key as well and compares. */
uint64_t bench_raw_check(bench_raw *r, bool look_up);
/* Iterates over all commits past the cache, with checksums, and makes a SHA-256 of each the fastest
 * way there is here: what no verification of a digest chain can do without. */
uint64_t bench_raw_digest(bench_raw *r);
void bench_raw_close(bench_raw *r);

#endif
