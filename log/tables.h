/* RocksDB's tables, db/N.sst, before RocksDB opens them. It reads a table's block of properties
 * before it compares the block's checksum, and a build with assertions, such as Debian's, ends the
 * process over one bit of it: the one that says that the block has a hash index, which no block of
 * properties has. All else that is damaged in a table RocksDB refuses by itself. */
#ifndef RATOON_LOG_TABLES_H
#define RATOON_LOG_TABLES_H

#include "core/mem.h"

/* RATOON_ERR_DAMAGED, which names the table, where that bit is set. What can't be read or is no
 * table passes: RocksDB knows better. */
ratoon_status ratoon__tables_check(const char *store_path, ratoon_error *error);

#endif
