#include "bench/support/peer.h"

const bench_peer *const bench_peers[] = {&bench_rocksdb,        &bench_rocksdb_digested,
                                         &bench_rocksdb_made,   &bench_rocksdb_batched,
                                         &bench_rocksdb_shared, &bench_rocksdb3,
                                         &bench_sqlite,         &bench_lmdb,
                                         &bench_postgres,       NULL};
