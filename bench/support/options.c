/* Options, scratch folders, errors, the clock. */
#include "bench/support/bench.h"

#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REPEAT_MAX 99
#define SMOKE_SCALE 0.005

_Noreturn void bench_die(const char *what, const ratoon_error *error)
{
    fprintf(stderr, "bench: %s%s%s\n", what, error != NULL ? ": " : "",
            error != NULL ? error->message : "");
    exit(1);
}

void bench_must(ratoon_status status, const char *what, const ratoon_error *error)
{
    if (status != RATOON_OK) {
        fprintf(stderr, "bench: %s: %s\n", what, ratoon_status_name(status));
        bench_die(what, error);
    }
}

double bench_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void usage(const char *name)
{
    fprintf(stderr,
            "usage: %s_bench [--smoke] [--scale X] [--repeat 1..%d] [--seconds X] [--only TEXT] "
            "[--pg CONNINFO] [--dir PATH]\n",
            name, REPEAT_MAX);
    exit(2);
}

static double positive(const char *text, const char *name)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (*end != '\0' || !(value > 0)) {
        usage(name);
    }
    return value;
}

void bench_start(bench_options *o, const char *name, int argc, char **argv)
{
    static const struct option known[] = {
        {"smoke", no_argument, NULL, 's'},        {"scale", required_argument, NULL, 'n'},
        {"repeat", required_argument, NULL, 'r'}, {"seconds", required_argument, NULL, 't'},
        {"only", required_argument, NULL, 'o'},   {"pg", required_argument, NULL, 'p'},
        {"dir", required_argument, NULL, 'd'},    {NULL, 0, NULL, 0}};
    const char *base = getenv("TMPDIR");
    *o = (bench_options){.name = name, .scale = 1, .repeat = 5, .seconds_max = 3};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 's':
            o->smoke = true;
            o->scale = SMOKE_SCALE;
            o->repeat = 1;
            break;
        case 'n':
            o->scale = positive(optarg, name);
            break;
        case 'r':
            o->repeat = (unsigned)positive(optarg, name);
            break;
        case 't':
            o->seconds_max = positive(optarg, name);
            break;
        case 'o':
            o->only = optarg;
            break;
        case 'p':
            o->pg = optarg;
            break;
        case 'd':
            base = optarg;
            break;
        default:
            usage(name);
        }
    }
    if (optind != argc || o->repeat < 1 || o->repeat > REPEAT_MAX) {
        usage(name);
    }
    char *dir = NULL;
    if (asprintf(&dir, "%s/%s_bench.XXXXXX", base != NULL ? base : "/tmp", name) < 0 ||
        mkdtemp(dir) == NULL) {
        bench_die("can't make a folder for the files of this run", NULL);
    }
    o->dir = dir;
}

void bench_finish(bench_options *o)
{
    bench_remove_tree(o->dir);
    free((char *)(uintptr_t)o->dir);
    o->dir = NULL;
}

bool bench_wants(const bench_options *o, const char *name)
{
    return o->only == NULL || strstr(name, o->only) != NULL;
}

uint64_t bench_scaled(const bench_options *o, uint64_t full, uint64_t least)
{
    uint64_t n = (uint64_t)((double)full * o->scale);
    return n < least ? least : n;
}

void bench_path(char path[BENCH_PATH_MAX], const char *dir, const char *name)
{
    if (snprintf(path, BENCH_PATH_MAX, "%s/%s", dir, name) >= BENCH_PATH_MAX) {
        bench_die("a path is too long", NULL);
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void bench_remove_tree(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        bench_die("can't remove a folder", NULL);
    }
}

static _Thread_local uint64_t tree_bytes;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path;
    (void)type;
    (void)ftw;
    tree_bytes += (uint64_t)st->st_blocks * 512;
    return 0;
}

uint64_t bench_tree_bytes(const char *path)
{
    tree_bytes = 0;
    if (nftw(path, count_one, 16, FTW_PHYS) != 0) {
        bench_die("can't read a folder", NULL);
    }
    return tree_bytes;
}
