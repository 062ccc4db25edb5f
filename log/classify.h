/* Patterns over error text (A01): Perl's regular expressions by PCRE2, matched within bounds. */
#ifndef RATOON_LOG_CLASSIFY_H
#define RATOON_LOG_CLASSIFY_H

#include "core/mem.h"

#define RATOON__PATTERN_MAX 4096 /* bytes of a pattern */

/* Whether a pattern compiles; otherwise what is wrong and at which byte of it. NO_MEMORY.
 * PIPELINE_INVALID. */
ratoon_status ratoon__pattern_check(const char *pattern, char message[256], size_t *offset);

#endif
