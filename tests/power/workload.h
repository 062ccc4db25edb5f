/* What the workload and the program that checks its stores both know. */
#ifndef RATOON_TESTS_POWER_WORKLOAD_H
#define RATOON_TESTS_POWER_WORKLOAD_H

#include <ratoon.h>

#include <string.h>

#define WORKLOAD_SECRET "not for everybody"

static const char workload_pipeline[] = "pipeline: power\n"
                                        "params:\n"
                                        "  name: {type: string}\n"
                                        "  token: {type: string, secret: true}\n"
                                        "stages:\n"
                                        "  - {name: a, run: [\"true\"], produces: [a]}\n"
                                        "  - {name: b, run: [\"true\"], produces: [b]}\n"
                                        "  - {name: c, run: [\"true\"], produces: [c]}\n";

static inline ratoon_durability workload_mode(const char *name)
{
    return strcmp(name, "interval") == 0 ? RATOON_DURABILITY_INTERVAL
           : strcmp(name, "none") == 0   ? RATOON_DURABILITY_NONE
                                         : RATOON_DURABILITY_SYNC;
}

#endif
