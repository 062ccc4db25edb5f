/* Commits read back from a store, for peers to write; payloads. */
#include "bench/support/peer.h"

#include "log/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_key(char key[BENCH_KEY_SIZE], ratoon_id lineage, uint64_t number)
{
    memcpy(key, lineage.bytes, 16);
    for (unsigned b = 0; b < 8; b++) {
        key[16 + b] = (char)(number >> (56 - 8 * b));
    }
}

static bool take(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number, const void *data,
                 size_t size)
{
    bench_commits *c = ctx;
    (void)lineage;
    (void)number;
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 1024 : c->capacity * 2;
        c->data = realloc(c->data, c->capacity * sizeof *c->data);
        c->sizes = realloc(c->sizes, c->capacity * sizeof *c->sizes);
        if (c->data == NULL || c->sizes == NULL) {
            bench_die("out of memory", NULL);
        }
    }
    char *copy = malloc(size + sizeof position); /* the store keeps the position before it */
    if (copy == NULL) {
        bench_die("out of memory", NULL);
    }
    memcpy(copy, &position, sizeof position);
    memcpy(copy + sizeof position, data, size);
    c->data[c->count] = copy;
    c->sizes[c->count++] = size + sizeof position;
    c->bytes += size + sizeof position;
    return true;
}

void bench_commits_read(bench_commits *c, ratoon_store *store, ratoon_id lineage)
{
    ratoon_error error = {0};
    ratoon__driver *d = ratoon__store_driver(store);
    *c = (bench_commits){.lineage = lineage};
    bench_must(d->ops->read(d, lineage, 1, true, false, take, c, &error), "read", &error);
}

void bench_commits_free(bench_commits *c)
{
    for (uint64_t i = 0; i < c->count; i++) {
        free(c->data[i]);
    }
    free(c->data);
    free(c->sizes);
    *c = (bench_commits){0};
}

#define POOL_SIZE (1u << 20)
static char pool[POOL_SIZE];
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void pool_fill(void)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t x = 0x9E3779B97F4A7C15u; /* xorshift64, fixed seed */
    for (size_t i = 0; i < POOL_SIZE; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        pool[i] = letters[x >> 58];
    }
}

void bench_payload(char *buffer, size_t size, unsigned client, uint64_t i)
{
    pthread_once(&pool_once, pool_fill);
    size_t offset = (size_t)((i * 4099 + client * 65537u) % (POOL_SIZE - size));
    memcpy(buffer, pool + offset, size);
    char mark[14];
    uint64_t rest = (uint64_t)(client & 0xffu) << 48 | (i & UINT64_C(0xffffffffffff));
    for (size_t at = sizeof mark; at > 0; rest >>= 4) { /* no snprintf(): this is timed */
        mark[--at] = "0123456789abcdef"[rest & 0xf];
    }
    if (size >= sizeof mark) {
        memcpy(buffer, mark, sizeof mark);
    }
}
