/* The file system that RocksDB writes its log with (rocksdb_env.cc). */
#ifndef RATOON_LOG_ROCKSDB_ENV_H
#define RATOON_LOG_ROCKSDB_ENV_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rocksdb_options_t rocksdb_options_t;

/* The options, of which it becomes the owner, with a file system that does ahead of a sync of the
 * log what can be done ahead. As they were where RocksDB knows no such option or memory ran out; it
 * does without. */
rocksdb_options_t *ratoon__rocks_logs_ahead(rocksdb_options_t *o);

/* How long syncs of logs by this thread took since it was asked last, in nanoseconds. */
uint64_t ratoon__rocks_sync_took(void);

#ifdef __cplusplus
}
#endif

#endif
