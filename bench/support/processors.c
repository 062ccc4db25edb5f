#include "bench/support/bench.h"

#include <sched.h>

void bench_one_processor(bool one)
{
    static cpu_set_t all;
    cpu_set_t set;
    if (one) {
        CPU_ZERO(&set);
        if (sched_getaffinity(0, sizeof all, &all) != 0) {
            bench_die("can't tell which processors there are", NULL);
        }
        for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&set) == 0; i++) {
            if (CPU_ISSET(i, &all)) {
                CPU_SET(i, &set);
            }
        }
    }
    if (sched_setaffinity(0, sizeof set, one ? &set : &all) != 0) {
        bench_die("can't choose processors", NULL);
    }
}
