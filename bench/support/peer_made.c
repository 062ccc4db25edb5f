/* Raw RocksDB given commits that are made as they are put: encoded, with the digest of the one
 * before in them, and digested. That is what a store cannot do without whose events are FlatBuffers
 * in a chain of digests; nothing is decided, projected, or kept for a reader. Reports of one client
 * only: all of them are alike but for their numbers. */
#include "bench/support/peer.h"

#include "log/codec.h"
#include "log/digest.h"

#include <stdlib.h>
#include <string.h>

#define POSITION 8      /* bytes, which the store keeps before a commit */
#define COMMIT_MAX 4096 /* bytes of a report, and more */

typedef struct maker {
    void *rocks;
    ratoon__encoder *encoder;
    ratoon__arena arena;
    ratoon__commit commit; /* the first one that came, from then on the one that is made */
    ratoon__event event;   /* of it */
    char row[POSITION + COMMIT_MAX];
} maker;

static const char *made_version(void)
{
    return bench_rocksdb.version();
}

static void *made_open(const bench_options *o, const char *dir, unsigned clients, bool sync,
                       bool reopen)
{
    maker *m = calloc(1, sizeof *m);
    m->encoder = ratoon__encoder_new();
    m->rocks = bench_rocksdb.open(o, dir, clients, sync, reopen);
    return m;
}

static void made_put(void *peer, unsigned client, const bench_record *record)
{
    maker *m = peer;
    ratoon_error error = {0};
    const void *bytes = NULL;
    size_t size = 0;
    if (m->commit.events_count == 0) {
        bench_must(ratoon__commit_decode((const char *)record->data + POSITION,
                                         record->size - POSITION, &m->arena, &m->commit, &error),
                   "decode", &error);
        m->event = m->commit.events[0];
        m->commit.events = &m->event;
    }
    m->commit.first_event += record->number - m->commit.number;
    m->commit.number = record->number;
    m->event.u.progress.done = record->number;
    bench_must(ratoon__commit_encode(m->encoder, &m->commit, &bytes, &size, &error), "encode",
               &error);
    if (size > COMMIT_MAX) {
        bench_die("a report is longer than expected", NULL);
    }
    if (ratoon__sha256(bytes, size, &m->commit.previous) != RATOON_OK) {
        bench_die("SHA-256", NULL);
    }
    memcpy(m->row, record->data, POSITION);
    memcpy(m->row + POSITION, bytes, size);
    bench_record made = *record;
    made.data = m->row;
    made.size = POSITION + size;
    bench_rocksdb.put(m->rocks, client, &made);
}

static uint64_t made_scan(void *peer, ratoon_id lineage, uint64_t *bytes)
{
    const maker *m = peer;
    return bench_rocksdb.scan(m->rocks, lineage, bytes);
}

static void made_close(void *peer)
{
    maker *m = peer;
    bench_rocksdb.close(m->rocks);
    ratoon__encoder_free(m->encoder);
    ratoon__arena_free(&m->arena);
    free(m);
}

const bench_peer bench_rocksdb_made = {
    .name = "rocksdb-made",
    .how = "one put a commit that is encoded and digested for it",
    .none_mode = "write without sync",
    .version = made_version,
    .open = made_open,
    .put = made_put,
    .scan = made_scan,
    .close = made_close,
};
