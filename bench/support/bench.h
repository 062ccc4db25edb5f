/* What the benchmark programs share: options, client threads with latencies, samples as JSON lines.
 *
 * A program prints samples, one JSON object a line: one side (ratoon or a peer), one point (what
 * was varied), one repeat. Sides of the same point and repeat ran right after one another. The
 * driver bench/run makes ratios and tables of them. */
#ifndef RATOON_BENCH_SUPPORT_BENCH_H
#define RATOON_BENCH_SUPPORT_BENCH_H

#include "ratoon.h"

#include <jansson.h>

#define BENCH_THREADS_MAX 64
#define BENCH_PATH_MAX 3800

typedef struct bench_options {
    const char *name;   /* of the program, without _bench */
    bool smoke;         /* does it work at all: smallest sizes, one repeat */
    double scale;       /* of the amount of work; 1 is the full size */
    unsigned repeat;    /* at least 1 */
    double seconds_max; /* of one timed run of one side */
    const char *only;   /* run only cases whose name has it in it; NULL: all */
    const char *pg;     /* connection string of a PostgreSQL to compare with, NULL: none */
    const char *dir;    /* the folder for files of this run; removed by bench_finish() */
} bench_options;

/* Options every program takes:
 *   --smoke         smallest sizes, one repeat
 *   --scale X       share of the full amount of work (default 1)
 *   --repeat N      default 5
 *   --seconds X     a timed run of one side ends after so long at the latest (default 3)
 *   --only TEXT     only cases with TEXT in their name
 *   --pg CONNINFO   a PostgreSQL server that may be written to
 *   --dir PATH      where files are made (default TMPDIR, else /tmp)
 * Ends the program where they are wrong. */
void bench_start(bench_options *o, const char *name, int argc, char **argv);
void bench_finish(bench_options *o);
bool bench_wants(const bench_options *o, const char *name);
/* The full number times the scale, at least `least`. */
uint64_t bench_scaled(const bench_options *o, uint64_t full, uint64_t least);

/* Says what failed and ends the program. error may be NULL. */
_Noreturn void bench_die(const char *what, const ratoon_error *error);
void bench_must(ratoon_status status, const char *what, const ratoon_error *error);

double bench_now_s(void);

/* Keeps this thread, and those it starts from now on, to one processor; false: to all again. */
void bench_one_processor(bool one);

/* ---- files ---- */
void bench_remove_tree(const char *path);
uint64_t bench_tree_bytes(const char *path); /* allocated on disk */
/* Writes dir/name into path. */
void bench_path(char path[BENCH_PATH_MAX], const char *dir, const char *name);

/* ---- client threads ---- */

/* Does operation i of a client (both from 0). */
typedef void (*bench_op_fn)(void *ctx, unsigned client, uint64_t i);

typedef struct bench_timing {
    uint64_t done;  /* operations */
    double seconds; /* from the first client's first to the last client's last */
    double rate;    /* operations a second */
    double p50_us, p90_us, p99_us, p999_us, max_us; /* of single operations, from all of them */
} bench_timing;

/* Each client does `warm` operations that don't count, waits for the others, then `count` more or
 * as many as it gets done in seconds_max. */
bench_timing bench_clients(unsigned clients, uint64_t warm, uint64_t count, double seconds_max,
                           bench_op_fn op, void *ctx);

/* Sorts and reads values: share 0 is the least, 0.5 the median, 1 the greatest. */
double bench_quantile(double *values, size_t count, double share);

/* ---- samples ---- */

typedef struct bench_sample {
    json_t *doc, *point, *metrics;
} bench_sample;

void bench_sample_begin(bench_sample *s, const bench_options *o, const char *part, const char *side,
                        unsigned repeat);
void bench_sample_text(bench_sample *s, const char *name, const char *value); /* of the point */
void bench_sample_count(bench_sample *s, const char *name, uint64_t value);   /* of the point */
void bench_sample_metric(bench_sample *s, const char *name, double value);
void bench_sample_timing(bench_sample *s, const bench_timing *t);
void bench_sample_end(bench_sample *s);
/* A line that says that a side could not be measured, and why. */
void bench_absent(const bench_options *o, const char *side, const char *why);

/* Version of a library that is loaded, from the name of its file; for libraries that have no call
 * for it. symbol: one of its functions. */
const char *bench_loaded_version(const char *symbol);

#endif
