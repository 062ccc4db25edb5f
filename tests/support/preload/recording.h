/* A record of what a program did to the files below one folder: a sequence of entries, each this
 * head, then both texts (no NUL), then the data. Host byte order: it is read where it was made. */
#ifndef RATOON_TESTS_PRELOAD_RECORDING_H
#define RATOON_TESTS_PRELOAD_RECORDING_H

#include <stdint.h>

typedef enum recording_kind {
    RECORDING_OPEN = 1,   /* text: path; file: number of the descriptor; number: flags */
    RECORDING_WRITE,      /* file, number: offset; data */
    RECORDING_TRUNCATE,   /* text: path; number: size */
    RECORDING_RESIZE,     /* file, number: size */
    RECORDING_EXTEND,     /* file, number: size at least */
    RECORDING_SYNC_BEGIN, /* file, number: of the sync */
    RECORDING_SYNC_END,   /* number: of the sync; file: 1 where it succeeded, else 0 */
    RECORDING_RENAME,     /* text to text2 */
    RECORDING_LINK,       /* text to text2 */
    RECORDING_UNLINK,     /* text */
    RECORDING_RMDIR,      /* text */
    RECORDING_MKDIR,      /* text */
    RECORDING_MARK,       /* data: what the program says */
} recording_kind;

typedef struct recording_head {
    uint32_t kind;
    uint16_t text_size, text2_size;
    uint64_t file, number, data_size;
} recording_head;

/* For the program itself: dlsym(RTLD_DEFAULT, "recording_mark"). */
typedef void recording_mark_fn(const void *data, uint64_t size);

#endif
