/* What every driver must do: the contract of log/driver.h as tests. A program of one driver adds
 * them to its suite:
 *
 *     static const driver_suite_target target = {.open = open_it, .close = close_it, …};
 *     driver_suite_add(suite, &target);
 *
 * Each test opens an empty store of its own and closes it, so programs run with and without
 * forking. One target per program. */
#ifndef RATOON_TESTS_DRIVER_SUITE_H
#define RATOON_TESTS_DRIVER_SUITE_H

#include "log/driver.h"
#include "tests/support/support.h"

typedef struct driver_suite_target {
    /* An empty store. Aborts or fails the test where it can't be. */
    ratoon__driver *(*open)(void *ctx);
    /* Closes the driver and opens the same store again; NULL: it does not outlive its driver. */
    ratoon__driver *(*reopen)(void *ctx, ratoon__driver *d);
    /* Closes the driver and removes the store. */
    void (*close)(void *ctx, ratoon__driver *d);
    void *ctx;
    uint64_t value_max; /* limit of a value that the store was opened with; 0: not tested */
} driver_suite_target;

void driver_suite_add(Suite *suite, const driver_suite_target *one);
/* Part of it. */
void driver_suite_erase_add(Suite *suite, const driver_suite_target *one);

#endif
