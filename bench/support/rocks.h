/* Batches of a raw RocksDB opened by bench_rocksdb_batched; by one thread at a time. */
#ifndef RATOON_BENCH_SUPPORT_ROCKS_H
#define RATOON_BENCH_SUPPORT_ROCKS_H

#include "bench/support/peer.h"

void bench_rocks_add(void *peer, const bench_record *record);

/* Writes what was added, with the durability it was opened with, and empties the batch. */
void bench_rocks_write(void *peer);

#endif
