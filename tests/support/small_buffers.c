#include "tests/support/small_buffers.h"

#include <dlfcn.h>
#include <string.h>

size_t support_small_buffers;

/* This definition comes before that of RocksDB's library. */
typedef struct rocksdb_options_t rocksdb_options_t;
void rocksdb_options_set_write_buffer_size(rocksdb_options_t *options, size_t size);
void rocksdb_options_set_write_buffer_size(rocksdb_options_t *options, size_t size)
{
    static void (*real)(rocksdb_options_t * options, size_t size);
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "rocksdb_options_set_write_buffer_size");
        memcpy(&real, &found, sizeof real);
    }
    real(options, support_small_buffers != 0 ? support_small_buffers : size);
}
