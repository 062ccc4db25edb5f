/* Samples as JSON lines, and versions of what is loaded. */
#include "bench/support/bench.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *bench_loaded_version(const char *symbol)
{
    static char path[PATH_MAX];
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, symbol);
    const char *version = NULL;
    if (address != NULL && dladdr(address, &info) != 0 && realpath(info.dli_fname, path) != NULL) {
        version = strstr(path, ".so.");
    }
    return version != NULL ? version + 4 : "unknown";
}

void bench_sample_begin(bench_sample *s, const bench_options *o, const char *part, const char *side,
                        unsigned repeat)
{
    s->point = json_object();
    s->metrics = json_object();
    s->doc = json_pack("{s:s,s:s,s:s,s:i,s:o,s:o}", "bench", o->name, "part", part, "side", side,
                       "repeat", (int)repeat, "point", s->point, "metrics", s->metrics);
    if (s->doc == NULL) {
        bench_die("out of memory", NULL);
    }
    if (strcmp(side, "ratoon") == 0) {
        char version[32];
        snprintf(version, sizeof version, "%d.%d.%d", RATOON_VERSION_MAJOR, RATOON_VERSION_MINOR,
                 RATOON_VERSION_PATCH);
        json_object_set_new(s->doc, "version", json_string(version));
        json_object_set_new(s->doc, "rocksdb", json_string(bench_loaded_version("rocksdb_put")));
    }
}

void bench_sample_text(bench_sample *s, const char *name, const char *value)
{
    json_object_set_new(s->point, name, json_string(value));
}

void bench_sample_count(bench_sample *s, const char *name, uint64_t value)
{
    json_object_set_new(s->point, name, json_integer((json_int_t)value));
}

void bench_sample_metric(bench_sample *s, const char *name, double value)
{
    json_object_set_new(s->metrics, name, json_real(value));
}

void bench_sample_timing(bench_sample *s, const bench_timing *t)
{
    bench_sample_metric(s, "rate", t->rate);
    bench_sample_metric(s, "done", (double)t->done);
    bench_sample_metric(s, "p50_us", t->p50_us);
    bench_sample_metric(s, "p90_us", t->p90_us);
    bench_sample_metric(s, "p99_us", t->p99_us);
    bench_sample_metric(s, "p999_us", t->p999_us);
    bench_sample_metric(s, "max_us", t->max_us);
}

static void print_line(json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (text == NULL || puts(text) < 0 || fflush(stdout) != 0) {
        bench_die("can't write a sample", NULL);
    }
    free(text);
    json_decref(doc);
}

void bench_sample_end(bench_sample *s)
{
    print_line(s->doc);
}

void bench_absent(const bench_options *o, const char *side, const char *why)
{
    print_line(json_pack("{s:s,s:s,s:s}", "bench", o->name, "side", side, "absent", why));
}
