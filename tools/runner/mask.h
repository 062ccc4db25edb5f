/* Secrets in text (E08): values of 4 bytes and more are replaced by "***", also where they are
 * split over chunks or written with JSON escapes, whichever. */
#ifndef RATOON_TOOLS_RUNNER_MASK_H
#define RATOON_TOOLS_RUNNER_MASK_H

#include "tools/runner/text.h"

#define RUNNER__SECRET_MIN 4

typedef struct runner__mask { /* zero-initialise */
    runner__slice *secrets;   /* owned */
    size_t count, capacity;
    bool first[256]; /* bytes that one may begin with */
} runner__mask;
void runner__mask_add(runner__mask *mask, const char *secret);
void runner__mask_free(runner__mask *mask);
bool runner__mask_finds(const runner__mask *mask, const char *data, size_t size);
/* The whole text at once. Appends. */
void runner__mask_text(const runner__mask *mask, const char *data, size_t size, runner__text *out);

/* The same for text that goes on, or may: leaves out an end that may be the beginning of a secret.
 */
void runner__mask_begin(const runner__mask *mask, const char *data, size_t size, runner__text *out);

typedef void runner__mask_sink(void *ctx, const char *data, size_t size);
/* A stream: holds back what may be the beginning of a secret. */
typedef struct runner__mask_stream { /* zero-initialise, then set mask */
    const runner__mask *mask;
    runner__text held;
    size_t covered; /* bytes still to leave out of a secret found */
} runner__mask_stream;
void runner__mask_feed(runner__mask_stream *stream, const char *data, size_t size, bool last,
                       runner__mask_sink *sink, void *ctx);
void runner__mask_stream_free(runner__mask_stream *stream);

#endif
