/* RocksDB's list of its files, db/MANIFEST-N, grows by records at its end. Where power was lost
 * while one was written, its end may be torn; RocksDB takes a list that ends too early as it is,
 * but one with a torn record for damage, and does not open. A record counts only once it is synced,
 * and nothing is removed for its sake before that, so what stands before a torn end is a list of
 * all there is. */
#ifndef RATOON_LOG_MANIFEST_H
#define RATOON_LOG_MANIFEST_H

#include "core/mem.h"

/* Cuts a torn end off the list, in a store that RocksDB doesn't open. Whether it was honestly torn
 * or is damaged can't be told here: first the list as it was and links to all files of the database
 * are put where log files are kept (log/folder.h), and the caller has to prove that all is there.
 * False: the list has no torn end, or it can't be mended. */
bool ratoon__manifest_mend(const char *store_path);
/* Puts the list back as it was: that was not it. */
void ratoon__manifest_unmend(const char *store_path);

#endif
