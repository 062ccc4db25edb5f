#ifndef RATOON_TESTS_POWER_ORPHANS_H
#define RATOON_TESTS_POWER_ORPHANS_H

#include <ratoon.h>

/* How many stored values no commit refers to and no note of a deletion names: nobody would ever
 * take them out (R20). */
size_t orphans_count(ratoon_store *store);

#endif
