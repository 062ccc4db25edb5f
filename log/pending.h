/* Derived rows that are acknowledged but not yet written: the last row of each run, the last holder
 * of each claim. Rows are staged before the log is written, so that nothing can fail once it was.
 * Not thread-safe. */
#ifndef RATOON_LOG_PENDING_H
#define RATOON_LOG_PENDING_H

#include "log/driver.h"

enum { RATOON__PENDING_BUCKETS = 4096 };

typedef struct ratoon__pending_row {
    struct ratoon__pending_row *next;
    ratoon__run_row row; /* its texts lie behind it; status 0: there is none any more */
} ratoon__pending_row;

typedef struct ratoon__pending_claim {
    struct ratoon__pending_claim *next;
    ratoon_id holder; /* all zero: released */
    size_t name_size;
    char name[];
} ratoon__pending_claim;

typedef struct ratoon__pending_list { /* in the order of staging */
    ratoon__pending_row *rows, **rows_end;
    ratoon__pending_claim *claims, **claims_end;
} ratoon__pending_list;

typedef struct ratoon__pending {
    ratoon__pending_row **rows; /* RATOON__PENDING_BUCKETS */
    ratoon__pending_claim **claims;
    size_t changes; /* merged since it was emptied */
} ratoon__pending;

void ratoon__pending_list_init(ratoon__pending_list *l);
bool ratoon__pending_list_row(ratoon__pending_list *l, const ratoon__run_row *row);
bool ratoon__pending_list_claim(ratoon__pending_list *l, const char *name, ratoon_id holder);
void ratoon__pending_list_free(ratoon__pending_list *l); /* and makes it empty */

bool ratoon__pending_init(ratoon__pending *p);
/* Takes over what was staged; later rows replace earlier ones. The list is empty afterwards. */
void ratoon__pending_merge(ratoon__pending *p, ratoon__pending_list *l);
const ratoon__run_row *ratoon__pending_find_row(const ratoon__pending *p, ratoon_id run);
const ratoon__pending_claim *ratoon__pending_find_claim(const ratoon__pending *p, const char *name);
void ratoon__pending_clear(ratoon__pending *p);
void ratoon__pending_free(ratoon__pending *p);

#endif
