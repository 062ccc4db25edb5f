/* RocksDB with buffers so small that tables are written all the time. */
#ifndef RATOON_TESTS_SMALL_BUFFERS_H
#define RATOON_TESTS_SMALL_BUFFERS_H

#include <stddef.h>

/* Bytes of each family's write buffer in stores opened from now on; 0: as they are. */
extern size_t support_small_buffers;

#endif
