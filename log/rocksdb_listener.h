/* What RocksDB asks before it recovers by itself (rocksdb_listener.cc). */
#ifndef RATOON_LOG_ROCKSDB_LISTENER_H
#define RATOON_LOG_ROCKSDB_LISTENER_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rocksdb_options_t rocksdb_options_t;
typedef struct ratoon__rocks_listener ratoon__rocks_listener;

/* The options, of which it becomes the owner, with a listener, which lives as long as the database
 * that is opened with them. *listener: NULL where RocksDB knows no such option or memory ran out;
 * it does without. */
rocksdb_options_t *ratoon__rocks_listened(rocksdb_options_t *o, ratoon__rocks_listener **listener);
/* From now on no recovery begins. Whether one may be under way, for which closing waits, perhaps
 * without end; true where listener is NULL. Any thread, while the database is open. */
bool ratoon__rocks_listener_close(ratoon__rocks_listener *listener);

#ifdef __cplusplus
}
#endif

#endif
