/* FlatBuffers codec for commits and the frames of the socket driver, behind a C header: the one
 * place that knows FlatBuffers (codec.cc). */
#ifndef RATOON_LOG_CODEC_H
#define RATOON_LOG_CODEC_H

#include "core/event.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RATOON__FORMAT_VERSION 1

/* A reusable encoder; one thread at a time. */
typedef struct ratoon__encoder ratoon__encoder;
ratoon__encoder *ratoon__encoder_new(void); /* NULL: out of memory */
void ratoon__encoder_free(ratoon__encoder *e);

/* Encodes a commit. *data is lent by the encoder until its next use. The same struct gives the same
 * bytes. LIMIT_EXCEEDED over RATOON_COMMIT_MAX before inline values, NO_MEMORY. */
ratoon_status ratoon__commit_encode(ratoon__encoder *e, const ratoon__commit *commit,
                                    const void **data, size_t *size, ratoon_error *error);
/* Verifies (FlatBuffers verifier, identifier, format version, ranges of enumerations and required
 * fields) and decodes without copying: out and its events point into data (which must be 8-byte
 * aligned and live as long) and into the arena. Definitions are left unresolved. Any input is safe.
 * DAMAGED; UNSUPPORTED for a newer format version. */
ratoon_status ratoon__commit_decode(const void *data, size_t size, ratoon__arena *arena,
                                    ratoon__commit *out, ratoon_error *error);
/* Only the head of a commit, after the same verification of the buffer; no events. */
ratoon_status ratoon__commit_peek(const void *data, size_t size, ratoon__commit *out,
                                  ratoon_error *error);

#ifdef __cplusplus
}
#endif
#endif
