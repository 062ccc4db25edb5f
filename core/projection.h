/* The projection of a lineage: what a fold of its events gives, and the only source of a run's
 * state. Projections are immutable once published and shared between versions: a fold copies what
 * it changes (run headers, a stage and the way to it, nodes of the item map) and shares the rest by
 * atomic reference counts. */
#ifndef RATOON_CORE_PROJECTION_H
#define RATOON_CORE_PROJECTION_H

#include "core/event.h"

/* A run's stages lie in a tree of three levels, so that a fold of one event copies three short
 * arrays of pointers, however many stages there are: books of 16 pages of 16 stages. Reach a stage
 * only through ratoon__run_stage_at(). */
#define RATOON__STAGE_PAGE 16
#define RATOON__STAGE_BOOK 16

/* An owned value, shared. */
typedef struct ratoon__value {
    atomic_uint refs;
    const char *key;
    const char *media_type;
    ratoon_digest digest;
    uint64_t size;
    const void *data; /* NULL: stored */
} ratoon__value;

/* What one attempt of a stage (or the initial state, or the edits) put into the state; shared by
 * every run that reuses it, so provenance travels with it. */
typedef struct ratoon__outputs {
    atomic_uint refs;
    ratoon_id run;    /* that produced them */
    uint32_t number;  /* of that run in the lineage: tells what is older than an edit (R24) */
    uint32_t attempt; /* 0: initial state or edits */
    /* R14: outputs of an earlier execution that these are laid over; may be NULL. */
    struct ratoon__outputs *below;
    uint32_t count;
    ratoon__value *values[]; /* in the order given; a key once; lie behind this and go with it */
} ratoon__outputs;
/* The value under a key, from these or those below them; NULL where there is none. o may be NULL.
 */
const ratoon__value *ratoon__outputs_find(const ratoon__outputs *o, const char *key);

/* Edits of a run and its ancestors: one layer for each run that was given any, oldest first; a
 * later layer wins. A layer's run is the branch that was created with it. */
typedef struct ratoon__edits {
    atomic_uint refs;
    uint32_t count;
    ratoon__outputs *layers[];
} ratoon__edits;

typedef struct ratoon__stage_failure { /* shared */
    atomic_uint refs;
    ratoon__failure f; /* strings and arrays owned by this object's block */
} ratoon__stage_failure;

typedef struct ratoon__item {
    atomic_uint refs;
    uint64_t hash; /* of the key; set by ratoon__items_put() */
    const char *key;
    bool failed, committed;
    ratoon_class error_class;
    const char *error;     /* may be NULL */
    ratoon__value *output; /* may be NULL */
    ratoon_id run;         /* that executed it */
    uint32_t attempt;
} ratoon__item;
typedef struct ratoon__item_map ratoon__item_map; /* persistent hash trie, key → item */
/* A map is a value: operations give a new map and leave the old one as it was. NULL is the empty
 * map. */
ratoon__item_map *ratoon__items_ref(const ratoon__item_map *m);
void ratoon__items_unref(ratoon__item_map *m);
const ratoon__item *ratoon__items_get(const ratoon__item_map *m, const char *key);
/* Takes the caller's reference to item. NULL when out of memory (then item is released too). */
ratoon__item_map *ratoon__items_put(const ratoon__item_map *m, ratoon__item *item);
uint64_t ratoon__items_count(const ratoon__item_map *m);
/* Calls fn for every item, in an order that depends on the keys alone; stops when it gives false.
 */
bool ratoon__items_each(const ratoon__item_map *m, bool (*fn)(void *ctx, const ratoon__item *item),
                        void *ctx);

/* What the attempts of a stage in one run came to, for statistics (Q04). */
typedef struct ratoon__tally {
    uint64_t spent_us;                           /* time in attempts that are over */
    uint32_t failures[RATOON_CLASS_UNKNOWN + 1]; /* attempts that failed, by class */
} ratoon__tally;

/* Strings that begin with `const char *` in a stage or run are shared between versions. */
typedef struct ratoon__stage {
    atomic_uint refs;
    ratoon_stage_status status;
    ratoon_stage_status reused_as; /* REUSED: what it was there (SUCCEEDED, DEGRADED, SKIPPED) */
    ratoon_class error_class;
    bool ever_started;             /* in this run */
    bool stale;                    /* R25: reused although something before it was executed again */
    bool items_known;              /* items_total is set */
    uint32_t attempt;              /* attempts started in this run */
    uint64_t started_at, ended_at; /* of the last attempt */
    uint64_t not_before;           /* back-off: no start before this time */
    ratoon_id reused_from;         /* run that executed it, where REUSED */
    ratoon__outputs *outputs;      /* succeeded, degraded, reused; or kept by R14; may be NULL */
    ratoon__outputs *partial;      /* of the last failed attempt (S03) */
    ratoon__stage_failure *failure; /* of the last attempt that failed */
    const char *reason;             /* degraded or skipped: why; may be NULL */
    uint64_t progress_done, progress_total;
    const char *progress_message; /* may be NULL */
    bool has_progress;
    ratoon__item_map *items;
    uint64_t items_total, items_done, items_failed, items_committed;
    /* of a branch's plan for this stage, until it is done; see ratoon__stage_item_wanted() */
    ratoon_items_mode items_mode;
    struct ratoon__strings *listed; /* for LISTED: the keys, sorted, each once; may be NULL */
    struct ratoon__runs *consumed;  /* runs whose results the last attempt used (R22) */
    ratoon__tally tally;            /* of this run's attempts */
} ratoon__stage;

typedef struct ratoon__strings {
    atomic_uint refs;
    uint32_t count;
    const char *items[];
} ratoon__strings;

typedef struct ratoon__runs {
    atomic_uint refs;
    uint32_t count;
    ratoon_id ids[]; /* run and root of each, alternating: count pairs */
} ratoon__runs;

typedef struct ratoon__stage_page {
    atomic_uint refs;
    ratoon__stage *stages[RATOON__STAGE_PAGE]; /* NULL behind the last */
} ratoon__stage_page;
typedef struct ratoon__stage_book {
    atomic_uint refs;
    ratoon__stage_page *pages[RATOON__STAGE_BOOK];
} ratoon__stage_book;

/* What a run's first event says of it; never changes. `created` points into the object's own
 * memory. */
typedef struct ratoon__run_static {
    atomic_uint refs;
    ratoon__arena arena;
    ratoon_id id;
    ratoon__run_created created; /* deep copy; .pipeline is referenced */
    uint64_t created_at;
    uint64_t created_event;   /* number of its first event in the lineage */
    ratoon__outputs *initial; /* initial state: the root's, shared by the branches */
    ratoon__edits *edits;     /* its own and those of its ancestors; may be NULL */
} ratoon__run_static;

typedef struct ratoon__run {
    atomic_uint refs;
    ratoon__run_static *fixed;
    ratoon_pipeline *pipeline; /* usually that of the first event; changed by R16 */
    ratoon_run_status status;
    uint64_t epoch; /* 0: never started */
    ratoon_id executor;
    int32_t until;
    uint64_t started_at, ended_at; /* ended_at: also of a suspension */
    ratoon_class error_class;      /* INTERRUPTED of a suspension */
    const char *reason;            /* of the end, the suspension or the request to cancel */
    const char *external_ref;
    uint64_t last_event; /* number of the last event about it */
    uint32_t children_count;
    const ratoon_id *children; /* in the order of their creation; shared between versions */
    uint32_t stages_count;
    uint32_t unforgiven; /* stages that failed, and whose definition doesn't allow it */
    uint32_t annotations;
    ratoon__stage_book *books[];
} ratoon__run;

typedef struct ratoon__lineage {
    atomic_uint refs;
    ratoon_id id;
    uint64_t head; /* number of the last commit folded in; 0: none */
    ratoon_digest head_digest;
    uint64_t events; /* number of the last event */
    uint64_t last_time_us;
    bool deleted;
    uint32_t runs_count;
    ratoon__run **runs; /* in order of creation: runs[n] has number n + 1 */
    uint64_t *tails;    /* one per run: the end of its id, which is random; see lineage_find() */
} ratoon__lineage;

ratoon__lineage *ratoon__lineage_new(ratoon_id id);
ratoon__lineage *ratoon__lineage_ref(const ratoon__lineage *l);
void ratoon__lineage_unref(ratoon__lineage *l);
/* The fold: a new version with the commit's events applied; `l` stays as it was. `digest` is that
 * of the commit's bytes. Commit number must be head + 1. Fails with DAMAGED on events that can't
 * follow (an unknown run, a stage index out of range), NO_MEMORY. The definitions of created runs
 * must be resolved. Unknown event types are passed over. */
ratoon_status ratoon__fold(const ratoon__lineage *l, const ratoon__commit *commit,
                           const ratoon_digest *digest, ratoon__lineage **out, ratoon_error *error);
/* The same with the caller's reference to *l, which the new version takes: where nobody else has
 * one, *l itself becomes it, which costs a fraction. Where that fails *l stays as it was, or is
 * gone and NULL. */
ratoon_status ratoon__fold_into(ratoon__lineage **l, const ratoon__commit *commit,
                                const ratoon_digest *digest, ratoon_error *error);
/* Folds only the first `events` events of the commit; for boundaries by event number. Head and
 * digest stay those of the commit before. */
ratoon_status ratoon__fold_part(const ratoon__lineage *l, const ratoon__commit *commit,
                                size_t events, ratoon__lineage **out, ratoon_error *error);

const ratoon__run *ratoon__lineage_run(const ratoon__lineage *l, ratoon_id run); /* or NULL */
static inline const ratoon__stage *ratoon__run_stage_at(const ratoon__run *r, uint32_t i)
{
    const uint32_t page = i / RATOON__STAGE_PAGE;
    return r->books[page / RATOON__STAGE_BOOK]
        ->pages[page % RATOON__STAGE_BOOK]
        ->stages[i % RATOON__STAGE_PAGE];
}
/* REUSED counts as what it was there. */
static inline ratoon_stage_status ratoon__stage_counts_as(const ratoon__stage *s)
{
    return s->status == RATOON_STAGE_REUSED ? s->reused_as : s->status;
}
/* Whether the stage's next (or present) attempt is to execute the item (R13): by MISSING and ALL
 * what has no done record; by FAILED what is recorded as failed; by LISTED what is listed and was
 * not done since. What a plan resets was dropped from the stage's items when the run was created,
 * so what was done since is never wanted again. */
bool ratoon__stage_item_wanted(const ratoon__stage *s, const char *key);
/* L05. SUCCEEDED, DEGRADED or FAILED when nothing is left to do; SUSPENDED when stages are left
 * (pending or running) and nothing unforgiven failed. */
ratoon_run_status ratoon__run_outcome(const ratoon__run *r);

/* ---- state (S02) ---- */
typedef struct ratoon__state_entry {
    const ratoon__value *value;
    ratoon_id run;
    int32_t stage; /* index in the run's pipeline, -1: initial state or edit */
    uint32_t attempt;
} ratoon__state_entry;
typedef struct ratoon__state_view { /* lent by the projection it was made from; in the arena */
    ratoon__state_entry *entries;   /* sorted by key */
    size_t count;
} ratoon__state_view;

typedef enum ratoon__boundary_kind {
    RATOON__AT_START = 1,
    RATOON__AT_END,
    RATOON__AT_BEFORE,
    RATOON__AT_AFTER,
    RATOON__AT_EVENT,
} ratoon__boundary_kind;
typedef struct ratoon__boundary {
    ratoon__boundary_kind kind;
    uint32_t stage;
    uint64_t event;
} ratoon__boundary;
/* "start", "end", "before:STAGE", "after:STAGE", or a number. USAGE, NO_SUCH_STAGE (with the list).
 */
ratoon_status ratoon__boundary_parse(const ratoon_pipeline *p, const char *text,
                                     ratoon__boundary *out, ratoon_error *error);
/* Edits (R24): under a key that was edited, an output counts only where the run that produced it is
 * the one that was created with the edit or a later one; else the edit stands.
 * State of a run at a boundary. AT_EVENT: the caller passes the run as it was at that event; its
 * state is then that at END. */
ratoon_status ratoon__state_at(const ratoon__run *r, const ratoon__boundary *at,
                               ratoon__arena *arena, ratoon__state_view *out);
/* What a stage receives: initial state, edits, outputs of its ancestors. */
ratoon_status ratoon__state_input(const ratoon__run *r, uint32_t stage, ratoon__arena *arena,
                                  ratoon__state_view *out);
const ratoon__state_entry *ratoon__state_find(const ratoon__state_view *v, const char *key);

/* ---- snapshots: bytes of a projection, derived and disposable ---- */
/* Serialises the projection (format: core/snapshot.c; begins with a magic and a version).
 * Definitions are named by digest only. */
ratoon_status ratoon__snapshot_encode(const ratoon__lineage *l, ratoon__buf *out);
/* resolve gives a definition by digest (a new reference), or NULL. Any damaged input is refused
 * with DAMAGED and never crashes. */
ratoon_status ratoon__snapshot_decode(const void *data, size_t size,
                                      ratoon_pipeline *(*resolve)(void *ctx, ratoon_digest digest),
                                      void *ctx, ratoon__lineage **out, ratoon_error *error);
/* Equality of everything a projection holds (S07); *what says the first difference. */
bool ratoon__lineage_equal(const ratoon__lineage *a, const ratoon__lineage *b, ratoon__buf *what);

#endif
