/* The feed: reading all commits from the beginning, as the documents that `watch` prints, and how
 * long after its acknowledgement a new commit reaches a reader that waits for it, in the same
 * process and in another one (over the store's socket). One commit at a time, two milliseconds
 * apart. feed_bench --tail STORE FROM COUNT    the reader in the other process */
#include "bench/support/world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000
#define PAUSE_NS 2000000

static void measure_read(const bench_options *o, const char *dir, uint64_t count, unsigned repeat)
{
    ratoon_store *store = bench_store_open(dir, RATOON_DURABILITY_SYNC);
    ratoon_error error = {0};
    ratoon_feed *feed = NULL;
    ratoon_feed_item item;
    uint64_t read = 0;
    bench_sample s;
    double start = bench_now_s();
    bench_must(ratoon_feed_open(store, 1, &feed, &error), "feed", &error);
    for (; read < count; read++) {
        bench_must(ratoon_feed_next(feed, WAIT_MS, &item, &error), "next", &error);
    }
    double seconds = bench_now_s() - start;
    ratoon_feed_close(feed);
    ratoon_store_close(store);
    bench_sample_begin(&s, o, "read", "ratoon", repeat);
    bench_sample_metric(&s, "rate", (double)read / seconds);
    bench_sample_end(&s);
}

/* Reads `count` commits from a position on and notes when each came. */
static void tail(ratoon_store *store, uint64_t from, uint64_t count, double *seen)
{
    ratoon_error error = {0};
    ratoon_feed *feed = NULL;
    ratoon_feed_item item;
    bench_must(ratoon_feed_open(store, from, &feed, &error), "feed", &error);
    for (uint64_t i = 0; i < count; i++) {
        bench_must(ratoon_feed_next(feed, WAIT_MS, &item, &error), "next", &error);
        seen[item.position - from] = bench_now_s();
    }
    ratoon_feed_close(feed);
}

typedef struct tailing {
    ratoon_store *store;
    uint64_t from, count;
    double *seen;
} tailing;

static void *tail_thread(void *arg)
{
    const tailing *t = arg;
    tail(t->store, t->from, t->count, t->seen);
    return NULL;
}

static void append_slowly(ratoon_store *store, bench_run *r, uint64_t count, double *called,
                          double *took)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (uint64_t i = 0; i < count; i++) {
        nanosleep(&pause, NULL);
        called[i] = bench_now_s();
        bench_run_report(r, store, i, count);
        took[i] = (bench_now_s() - called[i]) * 1e6;
    }
}

static void report(const bench_options *o, const char *where, unsigned repeat, double *seen,
                   const double *called, double *took, uint64_t count)
{
    bench_sample s;
    for (uint64_t i = 0; i < count; i++) {
        seen[i] = (seen[i] - called[i]) * 1e6;
    }
    bench_sample_begin(&s, o, "tail", "ratoon", repeat);
    bench_sample_text(&s, "reader", where);
    bench_sample_metric(&s, "p50_us", bench_quantile(seen, count, 0.5));
    bench_sample_metric(&s, "p99_us", bench_quantile(seen, count, 0.99));
    bench_sample_metric(&s, "call_p50_us", bench_quantile(took, count, 0.5));
    bench_sample_end(&s);
}

/* Starts this program as a reader; gives the end of the pipe it writes times to. */
static FILE *tail_process(const char *dir, uint64_t from, uint64_t count, pid_t *child)
{
    char name[] = "feed_bench", tail[] = "--tail", path[BENCH_PATH_MAX];
    char from_text[24], count_text[24];
    char *const arguments[] = {name, tail, path, from_text, count_text, NULL};
    posix_spawn_file_actions_t actions;
    int fds[2];
    snprintf(path, sizeof path, "%s", dir);
    snprintf(from_text, sizeof from_text, "%" PRIu64, from);
    snprintf(count_text, sizeof count_text, "%" PRIu64, count);
    if (pipe2(fds, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO) != 0 ||
        posix_spawn(child, "/proc/self/exe", &actions, NULL, arguments, environ) != 0) {
        bench_die("can't start the reader", NULL);
    }
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    FILE *f = fdopen(fds[0], "r");
    char line[64];
    if (f == NULL || fgets(line, sizeof line, f) == NULL || strcmp(line, "ready\n") != 0) {
        bench_die("the reader did not start", NULL);
    }
    return f;
}

static void tail_main(const char *dir, uint64_t from, uint64_t count)
{
    ratoon_store *store = bench_store_open(dir, RATOON_DURABILITY_SYNC);
    double *seen = calloc(count, sizeof *seen);
    puts("ready");
    fflush(stdout);
    tail(store, from, count, seen);
    for (uint64_t i = 0; i < count; i++) {
        printf("%.9f\n", seen[i]);
    }
    free(seen);
    ratoon_store_close(store);
}

static void measure_tail(const bench_options *o, ratoon_store *store, const char *dir, bench_run *r,
                         uint64_t count, unsigned repeat)
{
    ratoon_error error = {0};
    double *seen = calloc(count, sizeof *seen);
    double *called = calloc(count, sizeof *called);
    double *took = calloc(count, sizeof *took);
    tailing t = {.store = store, .count = count, .seen = seen};
    pthread_t thread;
    pid_t child;
    bench_must(ratoon_feed_end(store, &t.from, &error), "end", &error);
    pthread_create(&thread, NULL, tail_thread, &t);
    append_slowly(store, r, count, called, took);
    pthread_join(thread, NULL);
    report(o, "same process", repeat, seen, called, took, count);
    bench_must(ratoon_feed_end(store, &t.from, &error), "end", &error);
    FILE *times = tail_process(dir, t.from, count, &child);
    append_slowly(store, r, count, called, took);
    char line[64];
    for (uint64_t i = 0; i < count; i++) {
        if (fgets(line, sizeof line, times) == NULL) {
            bench_die("the reader ended too early", NULL);
        }
        seen[i] = strtod(line, NULL);
    }
    fclose(times);
    waitpid(child, NULL, 0);
    report(o, "another process", repeat, seen, called, took, count);
    free(seen);
    free(called);
    free(took);
}

int main(int argc, char **argv)
{
    bench_options o;
    if (argc == 5 && strcmp(argv[1], "--tail") == 0) {
        tail_main(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
        return 0;
    }
    bench_start(&o, "feed", argc, argv);
    const uint64_t commits = bench_scaled(&o, 100000, 100);
    ratoon_pipeline *chain = bench_chain(2);
    bench_run r;
    ratoon_store *store = bench_store_new(o.dir, RATOON_DURABILITY_NONE);
    bench_run_new(&r, store, chain, NULL);
    bench_run_start(&r, store, 0);
    for (uint64_t i = 2; i < commits; i++) {
        bench_run_report(&r, store, i, commits);
    }
    ratoon_store_close(store);
    for (unsigned i = 0; i < o.repeat; i++) {
        measure_read(&o, o.dir, commits, i);
    }
    store = bench_store_open(o.dir, RATOON_DURABILITY_SYNC);
    bench_run_new(&r, store, chain, NULL); /* the first one was interrupted by the closing */
    bench_run_start(&r, store, 0);
    for (unsigned i = 0; i < o.repeat; i++) {
        measure_tail(&o, store, o.dir, &r, bench_scaled(&o, 500, 10), i);
    }
    ratoon_pipeline_free(chain);
    ratoon_store_close(store);
    bench_finish(&o);
    return 0;
}
