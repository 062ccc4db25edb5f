/* Appends: status changes through the library against raw RocksDB that writes the same bytes with
 * one put each, in one run, interleaved. Each thread has a run of its own and reports progress of
 * its stage; a report is one commit. The peer puts the very commits that came of it, under the same
 * keys, from as many threads, with RocksDB's own group commit.
 *
 * Results are JSON, one object a line: median, minimum and maximum of the repeats.
 *   --smoke      a few hundred commits, once: does it work at all
 *   --scale N    commits a thread (sync: N / 10); default 20000
 *   --repeat N   repeats; default 5 */
#include "log/store.h"

#include <dlfcn.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define REPEATS_MAX 99

static const char pipeline_text[] = "pipeline: bench\n"
                                    "stages:\n"
                                    "  - name: work\n"
                                    "    run: [\"true\"]\n";

static void die(const char *what, const ratoon_error *error)
{
    fprintf(stderr, "append_bench: %s: %s\n", what, error != NULL ? error->message : "");
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A list of measured values, sorted when it is asked. */
typedef struct series {
    double values[REPEATS_MAX];
    size_t count;
} series;

static double series_at(series *s, double share)
{
    qsort(s->values, s->count, sizeof *s->values, compare_doubles);
    return s->values[(size_t)((double)(s->count - 1) * share + 0.5)];
}

/* What one timed run gives. */
typedef struct timing {
    double rate;           /* commits a second */
    double p50_us, p99_us; /* of one call */
} timing;

typedef struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    unsigned count;
    double *latencies;
    double begin, end; /* of its work */
    /* library */
    ratoon_store *store;
    ratoon_id run;
    uint64_t epoch;
    uint32_t attempt;
    /* RocksDB */
    rocksdb_t *db;
    const rocksdb_writeoptions_t *write_options;
    char *const *commits;
    const size_t *sizes;
    unsigned first; /* of the commits, for this thread */
} worker;

static void *library_work(void *arg)
{
    worker *w = arg;
    ratoon_error error;
    pthread_barrier_wait(w->start);
    w->begin = now_s();
    for (unsigned i = 0; i < w->count; i++) {
        double begin = now_s();
        ratoon_op op = {.kind = RATOON_OP_STAGE_PROGRESS,
                        .stage = "work",
                        .attempt = w->attempt,
                        .done = i,
                        .total = w->count,
                        .text = "a message of a usual length"};
        if (ratoon_run_apply(w->store, w->run, w->epoch, &op, 1, &error) != RATOON_OK) {
            die("append", &error);
        }
        w->latencies[i] = (now_s() - begin) * 1e6;
    }
    w->end = now_s();
    return NULL;
}

static void *rocksdb_work(void *arg)
{
    worker *w = arg;
    char key[24];
    pthread_barrier_wait(w->start);
    w->begin = now_s();
    memcpy(key, w->run.bytes, 16);
    for (unsigned i = 0; i < w->count; i++) {
        double begin = now_s();
        char *problem = NULL;
        for (unsigned b = 0; b < 8; b++) {
            key[16 + b] = (char)((uint64_t)(i + 1) >> (56 - 8 * b));
        }
        unsigned n = w->first + i;
        rocksdb_put(w->db, w->write_options, key, sizeof key, w->commits[n], w->sizes[n], &problem);
        if (problem != NULL) {
            fprintf(stderr, "append_bench: %s\n", problem);
            exit(1);
        }
        w->latencies[i] = (now_s() - begin) * 1e6;
    }
    w->end = now_s();
    return NULL;
}

static timing run_workers(worker *workers, unsigned threads, void *(*work)(void *))
{
    pthread_barrier_t start;
    size_t total = 0;
    pthread_barrier_init(&start, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        workers[i].start = &start;
        workers[i].latencies = calloc(workers[i].count, sizeof(double));
        total += workers[i].count;
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    pthread_barrier_wait(&start);
    double begin = 0, end = 0; /* first thread's first call to last thread's last */
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        begin = i == 0 || workers[i].begin < begin ? workers[i].begin : begin;
        end = workers[i].end > end ? workers[i].end : end;
    }
    double seconds = end - begin;
    double *all = calloc(total, sizeof *all);
    size_t n = 0;
    for (unsigned i = 0; i < threads; i++) {
        memcpy(all + n, workers[i].latencies, workers[i].count * sizeof *all);
        n += workers[i].count;
        free(workers[i].latencies);
    }
    qsort(all, total, sizeof *all, compare_doubles);
    timing t = {.rate = (double)total / seconds,
                .p50_us = all[total / 2],
                .p99_us = all[(size_t)((double)(total - 1) * 0.99)]};
    free(all);
    pthread_barrier_destroy(&start);
    return t;
}

/* The commits that the library wrote, kept for the peer. */
typedef struct taken {
    char **commits;
    size_t *sizes;
    size_t count, capacity, bytes;
} taken;

static bool take(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number, const void *data,
                 size_t size)
{
    taken *t = ctx;
    (void)position;
    (void)lineage;
    if (number <= 2 || t->count == t->capacity) {
        return number <= 2; /* creation and start of the stage */
    }
    t->commits[t->count] = malloc(size + 8);
    memset(t->commits[t->count], 0, 8); /* where the store keeps the position */
    memcpy(t->commits[t->count] + 8, data, size);
    t->sizes[t->count++] = size + 8;
    t->bytes += size + 8;
    return true;
}

static timing library_once(const char *dir, unsigned threads, unsigned count, bool durable,
                           taken *kept)
{
    char path[4096];
    ratoon_error error;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    ratoon_pipeline *pipeline = NULL;
    worker workers[THREADS_MAX] = {{0}};
    options.durability = durable ? RATOON_DURABILITY_SYNC : RATOON_DURABILITY_NONE;
    snprintf(path, sizeof path, "%s/store", dir);
    if (ratoon_store_create(path, &options, &error) != RATOON_OK ||
        ratoon_store_open(path, &options, &store, &error) != RATOON_OK ||
        ratoon_pipeline_parse("bench", pipeline_text, strlen(pipeline_text), NULL, &pipeline,
                              &error) != RATOON_OK) {
        die("open", &error);
    }
    for (unsigned i = 0; i < threads; i++) {
        ratoon_run_options run = RATOON_RUN_OPTIONS_INIT;
        ratoon_created created;
        run.pipeline = pipeline;
        workers[i].store = store;
        workers[i].count = count;
        if (ratoon_run_create(store, &run, &created, &error) != RATOON_OK ||
            ratoon_stage_start(store, created.run, created.epoch, "work", &workers[i].attempt,
                               &error) != RATOON_OK) {
            die("create", &error);
        }
        workers[i].run = created.run;
        workers[i].epoch = created.epoch;
    }
    timing t = run_workers(workers, threads, library_work);
    for (unsigned i = 0; i < threads; i++) {
        ratoon__driver *d = ratoon__store_driver(store);
        if (d->ops->read(d, workers[i].run, 1, true, false, take, kept, &error) != RATOON_OK) {
            die("read", &error);
        }
    }
    ratoon_pipeline_free(pipeline);
    ratoon_store_close(store);
    return t;
}

static timing rocksdb_once(const char *dir, unsigned threads, unsigned count, bool durable,
                           const taken *commits)
{
    char path[4096];
    char *problem = NULL;
    worker workers[THREADS_MAX] = {{0}};
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_writeoptions_t *write_options = rocksdb_writeoptions_create();
    snprintf(path, sizeof path, "%s/raw", dir);
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_write_buffer_size(options, 64u << 20);
    rocksdb_options_set_info_log_level(options, 5);
    rocksdb_writeoptions_set_sync(write_options, durable ? 1 : 0);
    rocksdb_t *db = rocksdb_open(options, path, &problem);
    if (db == NULL) {
        fprintf(stderr, "append_bench: %s\n", problem);
        exit(1);
    }
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.db = db,
                              .count = count,
                              .write_options = write_options,
                              .commits = commits->commits,
                              .sizes = commits->sizes,
                              .first = i * count};
        memset(workers[i].run.bytes, (int)i + 1, sizeof workers[i].run.bytes);
    }
    timing t = run_workers(workers, threads, rocksdb_work);
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(write_options);
    rocksdb_options_destroy(options);
    return t;
}

static void print_side(const char *name, series *rates, series *p50, series *p99)
{
    printf("\"%s\":{\"commits_per_second\":{\"median\":%.0f,\"min\":%.0f,\"max\":%.0f},"
           "\"p50_us\":%.1f,\"p99_us\":%.1f}",
           name, series_at(rates, 0.5), series_at(rates, 0), series_at(rates, 1),
           series_at(p50, 0.5), series_at(p99, 0.5));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        die("remove", NULL);
    }
}

/* Of the library that is really loaded: the C interface has no call for it, its file's name does.
 */
static const char *rocksdb_version(void)
{
    static char path[PATH_MAX];
    Dl_info info;
    void *symbol = dlsym(RTLD_DEFAULT, "rocksdb_put");
    const char *version = NULL;
    if (symbol != NULL && dladdr(symbol, &info) != 0 && realpath(info.dli_fname, path) != NULL) {
        version = strstr(path, ".so.");
    }
    return version != NULL ? version + 4 : "unknown";
}

static void measure(const char *base, unsigned threads, unsigned count, bool durable,
                    unsigned repeat)
{
    series ours = {.count = 0}, ours50 = {.count = 0}, ours99 = {.count = 0};
    series raw = {.count = 0}, raw50 = {.count = 0}, raw99 = {.count = 0}, ratio = {.count = 0};
    double mean_size = 0;
    for (unsigned i = 0; i < repeat; i++) {
        char dir[4000];
        taken kept = {.capacity = (size_t)threads * count};
        kept.commits = calloc(kept.capacity, sizeof *kept.commits);
        kept.sizes = calloc(kept.capacity, sizeof *kept.sizes);
        snprintf(dir, sizeof dir, "%s/%u", base, i);
        if (mkdir(dir, 0700) != 0) {
            die("mkdir", NULL);
        }
        timing a = library_once(dir, threads, count, durable, &kept);
        timing b = rocksdb_once(dir, threads, count, durable, &kept);
        ours.values[ours.count++] = a.rate;
        ours50.values[ours50.count++] = a.p50_us;
        ours99.values[ours99.count++] = a.p99_us;
        raw.values[raw.count++] = b.rate;
        raw50.values[raw50.count++] = b.p50_us;
        raw99.values[raw99.count++] = b.p99_us;
        ratio.values[ratio.count++] = a.rate / b.rate;
        mean_size = (double)kept.bytes / (double)kept.count;
        for (size_t k = 0; k < kept.count; k++) {
            free(kept.commits[k]);
        }
        free(kept.commits);
        free(kept.sizes);
        remove_tree(dir);
    }
    printf("{\"schema\":1,\"bench\":\"append\",\"durability\":\"%s\",\"threads\":%u,"
           "\"commits\":%u,\"bytes_per_commit\":%.0f,\"repeats\":%u,",
           durable ? "sync" : "none", threads, threads * count, mean_size, repeat);
    print_side("ratoon", &ours, &ours50, &ours99);
    printf(",");
    print_side("rocksdb", &raw, &raw50, &raw99);
    printf(",\"ratio\":{\"median\":%.3f,\"min\":%.3f,\"max\":%.3f},\"versions\":{\"ratoon\":"
           "\"%d.%d.%d\",\"rocksdb\":\"%s\"}}\n",
           series_at(&ratio, 0.5), series_at(&ratio, 0), series_at(&ratio, 1), RATOON_VERSION_MAJOR,
           RATOON_VERSION_MINOR, RATOON_VERSION_PATCH, rocksdb_version());
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"smoke", no_argument, NULL, 's'},
                                            {"scale", required_argument, NULL, 'n'},
                                            {"repeat", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    unsigned scale = 20000;
    unsigned repeat = 5;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's') {
            scale = 200;
            repeat = 1;
        } else if (option == 'n') {
            scale = (unsigned)strtoul(optarg, NULL, 10);
        } else if (option == 'r') {
            repeat = (unsigned)strtoul(optarg, NULL, 10);
        } else {
            return 2;
        }
    }
    if (scale < 10 || repeat < 1 || repeat > REPEATS_MAX) {
        fprintf(stderr, "append_bench: --scale is 10 or more, --repeat 1 to %d\n", REPEATS_MAX);
        return 2;
    }
    char base[4000];
    const char *tmp = getenv("TMPDIR");
    snprintf(base, sizeof base, "%s/append_bench.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(base) == NULL) {
        die("mkdtemp", NULL);
    }
    static const unsigned threads[] = {1, 4, 16, 64};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        measure(base, threads[i], scale / threads[i] + 1, false, repeat);
        measure(base, threads[i], scale / 10 / (threads[i] > 4 ? 4 : threads[i]) + 1, true, repeat);
    }
    remove_tree(base);
    return 0;
}
