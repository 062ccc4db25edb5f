/* Definitions, and what must hold of any projection, for targets that fold. */
#ifndef RATOON_TESTS_FUZZ_PROJECTIONS_H
#define RATOON_TESTS_FUZZ_PROJECTIONS_H

#include "core/projection.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/lineage.h"

enum { FUZZ_DEFINITIONS = 3, FUZZ_RUNS_MAX = 12 };

/* The definitions there are: the first byte of a digest says which. Made once, never freed. */
static inline ratoon_pipeline *fuzz_definition(uint32_t i)
{
    static ratoon_pipeline *made[FUZZ_DEFINITIONS];
    static const char *const lines[FUZZ_DEFINITIONS] = {
        "a; b: a; c: b; d: a !allow_failure; e: c d !commits",
        "e; d: e; a; b: a d; c: b",
        "a; v: a !validates=a; b; c; d; e; f; g; h; i; j; k; l; m; n; o; p; q; r: b v; s: r",
    };
    i %= FUZZ_DEFINITIONS;
    if (made[i] == NULL) {
        made[i] = support_pipeline(lines[i]);
        made[i]->digest.bytes[0] = (uint8_t)i;
    }
    return made[i];
}

static inline ratoon_pipeline *fuzz_resolve(void *ctx, ratoon_digest digest)
{
    (void)ctx;
    return ratoon__pipeline_ref(fuzz_definition(digest.bytes[0]));
}

/* Encoded and decoded a projection is the same, and is then encoded the same (S07). */
static inline ratoon__lineage *fuzz_by_snapshot(const ratoon__lineage *l)
{
    ratoon__buf bytes = {0}, again = {0}, what = {0};
    ratoon_error error = {0};
    ratoon__lineage *out = NULL;
    must(ratoon__snapshot_encode(l, &bytes) == RATOON_OK);
    uint8_t *copy = fuzz_copy(bytes.data, bytes.size);
    const ratoon_status status =
        ratoon__snapshot_decode(copy, bytes.size, fuzz_resolve, NULL, &out, &error);
    if (status != RATOON_OK) {
        fprintf(stderr, "%s\n", error.message);
    }
    must(status == RATOON_OK);
    free(copy); /* nothing of it may be lent */
    if (!ratoon__lineage_equal(l, out, &what)) {
        fprintf(stderr, "%s\n", what.data);
        abort();
    }
    must(ratoon__snapshot_encode(out, &again) == RATOON_OK);
    must(bytes.size == again.size && memcmp(bytes.data, again.data, bytes.size) == 0);
    ratoon__buf_free(&bytes);
    ratoon__buf_free(&again);
    ratoon__buf_free(&what);
    return out;
}

/* Two states are the same, sorted, each key once. */
static inline void fuzz_same_state(const ratoon__state_view *a, const ratoon__state_view *b)
{
    must(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        const ratoon__state_entry *x = &a->entries[i], *y = &b->entries[i];
        must(strcmp(x->value->key, y->value->key) == 0);
        must(i == 0 || strcmp(a->entries[i - 1].value->key, x->value->key) < 0);
        must(memcmp(&x->value->digest, &y->value->digest, sizeof(ratoon_digest)) == 0);
        must(ratoon_id_equal(x->run, y->run) && x->stage == y->stage && x->attempt == y->attempt);
        must(ratoon__state_find(a, x->value->key) == x);
    }
}

/* Two projections that are equal give the same state everywhere. */
static inline void fuzz_same_states(const ratoon__lineage *a, const ratoon__lineage *b)
{
    ratoon__arena arena = {0};
    for (uint32_t n = 0; n < a->runs_count; n++) {
        const ratoon__run *x = a->runs[n], *y = b->runs[n];
        ratoon__state_view vx, vy;
        must(ratoon__run_outcome(x) == ratoon__run_outcome(y));
        for (uint32_t kind = RATOON__AT_START; kind <= RATOON__AT_END; kind++) {
            const ratoon__boundary at = {.kind = (ratoon__boundary_kind)kind};
            must(ratoon__state_at(x, &at, &arena, &vx) == RATOON_OK);
            must(ratoon__state_at(y, &at, &arena, &vy) == RATOON_OK);
            fuzz_same_state(&vx, &vy);
        }
        for (uint32_t i = 0; i < x->stages_count; i++) {
            ratoon__boundary at = {.kind = RATOON__AT_BEFORE, .stage = i};
            must(ratoon__state_at(x, &at, &arena, &vx) == RATOON_OK);
            must(ratoon__state_at(y, &at, &arena, &vy) == RATOON_OK);
            fuzz_same_state(&vx, &vy);
            at.kind = RATOON__AT_AFTER;
            must(ratoon__state_at(x, &at, &arena, &vx) == RATOON_OK);
            must(ratoon__state_at(y, &at, &arena, &vy) == RATOON_OK);
            fuzz_same_state(&vx, &vy);
            must(ratoon__state_input(x, i, &arena, &vx) == RATOON_OK);
            must(ratoon__state_input(y, i, &arena, &vy) == RATOON_OK);
            fuzz_same_state(&vx, &vy);
        }
    }
    ratoon__arena_free(&arena);
}

#endif
