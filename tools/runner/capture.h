/* Captured output (E07): a file that keeps the first and the last half of what may be kept, with a
 * line in between that tells how much was left out. */
#ifndef RATOON_TOOLS_RUNNER_CAPTURE_H
#define RATOON_TOOLS_RUNNER_CAPTURE_H

#include "tools/runner/text.h"

#include <ratoon.h>

#define RUNNER__CAPTURE_MAX (64u << 20)

typedef struct runner__capture runner__capture;

/* The file at `path` is created, its folders too: at once, or with `lazy` when the first byte
 * comes. limit: bytes of the finished file. A file that can't be written is reported by
 * runner__capture_end(); until then the text is counted as left out. */
runner__capture *runner__capture_new(const char *path, uint64_t limit, bool lazy);
void runner__capture_add(runner__capture *capture, const char *data, size_t size);

typedef struct runner__capture_result {
    uint64_t size;    /* of the file, 0 where there is none */
    uint64_t dropped; /* bytes left out */
    ratoon_digest digest;
    int error; /* errno of what failed first, or 0 */
} runner__capture_result;
/* Completes and syncs the file, and frees the capture. */
runner__capture_result runner__capture_end(runner__capture *capture, bool sync);

#endif
