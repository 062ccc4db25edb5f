#include "tests/support/raw_commits.h"

#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    fprintf(stderr, "raw commits: %s\n", what);
    abort();
}

ratoon_id raw_id(uint32_t n)
{
    ratoon_id id = {{0x01, 0x8f}};
    for (int i = 0; i < 4; i++) {
        id.bytes[12 + i] = (uint8_t)(n >> (8 * (3 - i)));
    }
    return id;
}

ratoon__append raw_append(const raw_commit *commit)
{
    return (ratoon__append){
        .lineage = commit->lineage,
        .number = commit->number,
        .data = commit,
        .size = sizeof *commit,
    };
}

ratoon_status raw_append_one(ratoon__driver *d, ratoon_id lineage, uint64_t number, uint64_t writer,
                             uint64_t serial, ratoon__append *result)
{
    const raw_commit commit = {
        .lineage = lineage, .number = number, .writer = writer, .serial = serial};
    *result = raw_append(&commit);
    ratoon_error error = {0};
    ratoon_status status = d->ops->append(d, result, 1, true, &error);
    if (status != RATOON_OK) {
        fprintf(stderr, "append: %s: %s\n", ratoon_status_name(status), error.message);
        return status;
    }
    return result->status;
}

uint64_t raw_append_next(ratoon__driver *d, ratoon_id lineage, uint64_t writer, uint64_t serial)
{
    uint64_t head;
    if (d->ops->head(d, lineage, &head, NULL) != RATOON_OK) {
        die("no head");
    }
    for (;;) {
        ratoon__append result;
        ratoon_status status = raw_append_one(d, lineage, head + 1, writer, serial, &result);
        if (status == RATOON_OK) {
            return head + 1;
        }
        if (status != RATOON_ERR_CONFLICT) {
            die("the append failed");
        }
        if (result.head <= head) {
            die("a conflict with a head that does not conflict");
        }
        head = result.head;
    }
}

void raw_commits_free(raw_commits *c)
{
    free(c->commits);
    free(c->positions);
    *c = (raw_commits){0};
}

bool raw_commits_collect(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                         const void *data, size_t size)
{
    raw_commits *c = ctx;
    raw_commit commit;
    if ((uintptr_t)data % 8 != 0) {
        die("a commit's bytes are not aligned");
    }
    if (size < sizeof commit) {
        die("a commit is cut");
    }
    memcpy(&commit, data, sizeof commit);
    if (commit.number != number || !ratoon_id_equal(commit.lineage, lineage)) {
        die("a commit stands in another's place");
    }
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        c->commits = realloc(c->commits, c->capacity * sizeof *c->commits);
        c->positions = realloc(c->positions, c->capacity * sizeof *c->positions);
        if (c->commits == NULL || c->positions == NULL) {
            die("out of memory");
        }
    }
    c->positions[c->count] = position;
    c->commits[c->count++] = commit;
    return c->count != c->stop_at;
}

size_t raw_commits_find(const raw_commits *c, uint64_t writer, uint64_t serial)
{
    size_t found = 0;
    for (size_t i = 0; i < c->count; i++) {
        found += c->commits[i].writer == writer && c->commits[i].serial == serial;
    }
    return found;
}
