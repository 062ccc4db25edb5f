/* Looks at the stores of one image, in a process of its own. */
#ifndef RATOON_TESTS_POWER_ORACLE_H
#define RATOON_TESTS_POWER_ORACLE_H

#include "tests/power/expect.h"

typedef enum oracle_verdict {
    ORACLE_HOLDS = 'h',    /* all is there that must be */
    ORACLE_REPORTED = 'r', /* not so, and the store says that it is damaged */
    ORACLE_UNSEEN = 'u',   /* not so, and nothing that is left on the disk tells */
    ORACLE_FAILED = 'f',
} oracle_verdict;

/* `image`: a folder that holds what the record's root held; it is changed. `text`: what is wrong,
 * else "". `again`: also closes and opens each store once more. */
oracle_verdict oracle_look(const expect *e, const image_choice *c, const char *root,
                           const char *image, bool again, char *text, size_t text_size);

#endif
