/* The items of a foreach stage: a JSON array of strings or of objects with a `key`. */
#ifndef RATOON_TOOLS_RUNNER_FOREACH_H
#define RATOON_TOOLS_RUNNER_FOREACH_H

#include "tools/runner/json.h"
#include "tools/runner/output.h"

#include <ratoon.h>

/* Whether the array can be used, and how many items it has. *error names the element. */
bool runner__foreach_check(runner__slice array, uint64_t *count, runner__text *error);

/* Walks over a checked array. */
typedef struct runner__foreach {
    runner__json_iter iter;
    char *key;           /* of the present item, owned */
    runner__slice value; /* lent by the array */
} runner__foreach;
runner__foreach runner__foreach_begin(runner__slice array);
bool runner__foreach_next(runner__foreach *f);
void runner__foreach_end(runner__foreach *f);
/* One item by its key. */
bool runner__foreach_find(runner__slice array, const char *key, runner__slice *value);

/* Gathers item outputs by the keys a stage produces: each becomes an object, item key → what that
 * item's output has under it; with a single key, an output that lacks it is taken whole. */
typedef struct runner__gather {
    const char *const *keys;
    size_t count;
    runner__text *objects; /* one per key */
    bool *files;           /* whether some item gave a file under the key (S10) */
} runner__gather;
runner__gather runner__gather_new(const char *const *keys, size_t count);
/* output: a checked JSON value, size 0 for none. False where a limit is passed: see *error. */
bool runner__gather_add(runner__gather *g, const char *item, runner__slice output,
                        runner__text *error);
/* The objects, completed, as values that point into the gather. values[g->count] */
void runner__gather_values(runner__gather *g, ratoon_value *values);
void runner__gather_free(runner__gather *g);

#endif
