/* Pipeline files: YAML, or the canonical JSON that is stored with every run, into definitions. */
#ifndef RATOON_LOG_PIPELINE_FILE_H
#define RATOON_LOG_PIPELINE_FILE_H

#include "core/pipeline.h"

#define RATOON__PIPELINE_FILE_MAX (1u << 20) /* bytes of a pipeline file */

/* Parses a stored canonical form, which may be of any size. Its text is kept as it is. *digest, if
 * not NULL, must be the SHA-256 of it (DAMAGED). Everything else as ratoon_pipeline_parse(). */
ratoon_status ratoon__pipeline_parse_canonical(const char *text, size_t size, const char *base_dir,
                                               const ratoon_digest *digest, ratoon_pipeline **out,
                                               ratoon_error *error);

/* "500ms", "1s", "30m", "2h", "90d", "1.5h", or a number of seconds. False where it is none of
 * these, negative, not a whole number of milliseconds, or more than 36,500 days. */
bool ratoon__duration_parse(const char *text, uint64_t *ms);
/* The same the other way, with the largest unit that fits: 90000 is "90s". */
#define RATOON__DURATION_TEXT 48
void ratoon__duration_format(uint64_t ms, char out[RATOON__DURATION_TEXT]);

#endif
