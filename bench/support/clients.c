/* Client threads that do one operation after another, and what each of them took. */
#include "bench/support/bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct client {
    pthread_t thread;
    unsigned index;
    pthread_barrier_t *start;
    uint64_t warm, count, done;
    double seconds_max;
    bench_op_fn op;
    void *ctx;
    double *latencies_us;
    double begin, end;
} client;

static void *client_work(void *arg)
{
    client *c = arg;
    for (uint64_t i = 0; i < c->warm; i++) {
        c->op(c->ctx, c->index, i);
    }
    pthread_barrier_wait(c->start);
    c->begin = c->end = bench_now_s();
    while (c->done < c->count && c->end - c->begin < c->seconds_max) {
        double before = c->end;
        c->op(c->ctx, c->index, c->warm + c->done);
        c->end = bench_now_s();
        c->latencies_us[c->done++] = (c->end - before) * 1e6;
    }
    return NULL;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at(const double *sorted, size_t count, double share)
{
    return sorted[(size_t)((double)(count - 1) * share + 0.5)];
}

double bench_quantile(double *values, size_t count, double share)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return at(values, count, share);
}

/* Percentiles over the operations of all clients together. */
static void percentiles(bench_timing *t, const client *clients, unsigned count)
{
    double *all = calloc(t->done, sizeof *all);
    size_t n = 0;
    if (all == NULL) {
        bench_die("out of memory", NULL);
    }
    for (unsigned i = 0; i < count; i++) {
        memcpy(all + n, clients[i].latencies_us, clients[i].done * sizeof *all);
        n += clients[i].done;
    }
    qsort(all, n, sizeof *all, compare_doubles);
    t->p50_us = at(all, n, 0.5);
    t->p90_us = at(all, n, 0.9);
    t->p99_us = at(all, n, 0.99);
    t->p999_us = at(all, n, 0.999);
    t->max_us = all[n - 1];
    free(all);
}

bench_timing bench_clients(unsigned clients_count, uint64_t warm, uint64_t count,
                           double seconds_max, bench_op_fn op, void *ctx)
{
    client clients[BENCH_THREADS_MAX];
    pthread_barrier_t start;
    bench_timing t = {0};
    double begin = 0, end = 0;
    if (clients_count == 0 || clients_count > BENCH_THREADS_MAX || count == 0) {
        bench_die("bad number of clients or operations", NULL);
    }
    pthread_barrier_init(&start, NULL, clients_count);
    for (unsigned i = 0; i < clients_count; i++) {
        clients[i] = (client){.index = i,
                              .start = &start,
                              .warm = warm,
                              .count = count,
                              .seconds_max = seconds_max,
                              .op = op,
                              .ctx = ctx,
                              .latencies_us = calloc(count, sizeof(double))};
        if (clients[i].latencies_us == NULL ||
            pthread_create(&clients[i].thread, NULL, client_work, &clients[i]) != 0) {
            bench_die("can't start a client", NULL);
        }
    }
    for (unsigned i = 0; i < clients_count; i++) {
        pthread_join(clients[i].thread, NULL);
        begin = i == 0 || clients[i].begin < begin ? clients[i].begin : begin;
        end = clients[i].end > end ? clients[i].end : end;
        t.done += clients[i].done;
    }
    t.seconds = end - begin;
    t.rate = (double)t.done / t.seconds;
    percentiles(&t, clients, clients_count);
    for (unsigned i = 0; i < clients_count; i++) {
        free(clients[i].latencies_us);
    }
    pthread_barrier_destroy(&start);
    return t;
}
