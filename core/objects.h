/* The shared objects that a projection is made of: how they come about, are shared, copied and
 * given up. Every `new` function gives one reference, or NULL when out of memory. Only the fold and
 * the snapshot decoder make or change objects, and they change only what nobody else can see yet:
 * what has a single reference on a path of single references from a version not yet published. */
#ifndef RATOON_CORE_OBJECTS_H
#define RATOON_CORE_OBJECTS_H

#include "core/projection.h"
#include "core/text.h"

/* ---- values and what is made of them ---- */
/* Values of items. Those of outputs are part of these, and are neither shared nor given up alone.
 */
ratoon__value *ratoon__value_new(const ratoon__value_ref *ref);
ratoon__value *ratoon__value_share(const ratoon__value *object);
void ratoon__value_unref(const ratoon__value *v); /* NULL is fine, here and below */

typedef struct ratoon__origin { /* who produced outputs */
    ratoon_id run;
    uint32_t number, attempt;
} ratoon__origin;
/* Takes the caller's reference to `below` where it succeeds. */
ratoon__outputs *ratoon__outputs_new(const ratoon__origin *origin, ratoon__values values,
                                     ratoon__outputs *below);
ratoon__outputs *ratoon__outputs_ref(const ratoon__outputs *object);
void ratoon__outputs_unref(ratoon__outputs *o);

/* `base` (may be NULL) with one more layer, whose reference it takes where it succeeds. */
ratoon__edits *ratoon__edits_new(const ratoon__edits *base, ratoon__outputs *layer);
ratoon__edits *ratoon__edits_ref(const ratoon__edits *object);
void ratoon__edits_unref(ratoon__edits *e);

ratoon__stage_failure *ratoon__failure_new(const ratoon__failure *f);
ratoon__stage_failure *ratoon__failure_ref(const ratoon__stage_failure *object);
void ratoon__failure_unref(ratoon__stage_failure *f);

/* Sorted, each key once. */
ratoon__strings *ratoon__strings_new(const char *const *keys, size_t count);
bool ratoon__strings_has(const ratoon__strings *s, const char *key); /* NULL has none */
ratoon__strings *ratoon__strings_ref(const ratoon__strings *object);
void ratoon__strings_unref(ratoon__strings *s);

ratoon__runs *ratoon__runs_alloc(uint32_t count); /* ids to be filled in */
/* `base` (may be NULL) with one more pair of run and root. */
ratoon__runs *ratoon__runs_new(const ratoon__runs *base, ratoon_id run, ratoon_id root);
ratoon__runs *ratoon__runs_ref(const ratoon__runs *object);
void ratoon__runs_unref(ratoon__runs *r);

/* ---- items ---- */
typedef struct ratoon__item_init {
    const char *key;
    bool failed, committed;
    ratoon_class error_class;
    const char *error;     /* may be NULL */
    ratoon__value *output; /* may be NULL; its reference is taken where it succeeds */
    ratoon_id run;
    uint32_t attempt;
} ratoon__item_init;
ratoon__item *ratoon__item_new(const ratoon__item_init *init);
ratoon__item *ratoon__item_ref(const ratoon__item *object);
void ratoon__item_unref(const ratoon__item *item);
/* Like ratoon__items_put(), but takes the caller's reference to `m` as well and changes in place
 * what nobody else holds. NULL when out of memory; then `m` and `item` are released. */
ratoon__item_map *ratoon__items_put_owned(ratoon__item_map *m, ratoon__item *item);

/* The map of the items that `keep` says true of, asked once for each; what is kept whole is shared.
 * False when out of memory. */
bool ratoon__items_filter(const ratoon__item_map *m,
                          bool (*keep)(void *ctx, const ratoon__item *item), void *ctx,
                          ratoon__item_map **out);

/* ---- lineages, stages and runs ---- */
/* Whether the caller's reference is the only one. */
bool ratoon__lineage_is_ours(const ratoon__lineage *l);
ratoon__stage *ratoon__stage_new(void); /* pending */
/* Everything but the reference count, which is 1, and for a run but its books. The copy only
 * borrows what it points to. */
void ratoon__stage_numbers(ratoon__stage *to, const ratoon__stage *from);
void ratoon__run_numbers(ratoon__run *to, const ratoon__run *from);
ratoon__stage *ratoon__stage_copy(const ratoon__stage *s);
ratoon__stage *ratoon__stage_ref(const ratoon__stage *s);
void ratoon__stage_unref(ratoon__stage *s);
/* A run header for `stages_count` stages, without any; released with ratoon__run_unref() however
 * far it was filled in. Takes a reference of its own to fixed and pipeline. */
ratoon__run *ratoon__run_new(ratoon__run_static *fixed, const ratoon_pipeline *pipeline);
/* Puts a stage where there is none yet; takes its reference, also where it fails. */
bool ratoon__run_put_stage(ratoon__run *r, uint32_t i, ratoon__stage *s);
/* For whoever changes the status of a stage that is there: keeps what the run counts. */
void ratoon__run_note_status(ratoon__run *r, uint32_t i, ratoon_stage_status was,
                             ratoon_stage_status is);
ratoon__run *ratoon__run_copy(const ratoon__run *r);
ratoon__run *ratoon__run_ref(const ratoon__run *r);
void ratoon__run_unref(ratoon__run *r);
/* A stage of a run that only the caller can see, copied first where others share it. */
ratoon__stage *ratoon__run_own_stage(ratoon__run *r, uint32_t i);

/* A new version that shares everything, with room for `more` runs. */
ratoon__lineage *ratoon__lineage_copy(const ratoon__lineage *l, uint32_t more);
/* Puts the next run into a lineage with room for it that only the caller can see; takes its
 * reference. */
void ratoon__lineage_add_run(ratoon__lineage *l, ratoon__run *r);
/* A run of a lineage that only the caller can see, copied first where others share it. */
ratoon__run *ratoon__lineage_own_run(ratoon__lineage *l, uint32_t i);
int64_t ratoon__lineage_find(const ratoon__lineage *l, ratoon_id run); /* index, or -1 */

/* ---- what never changes of a run ---- */
/* parent: its run in the lineage, NULL for a root. */
ratoon__run_static *ratoon__static_new(const ratoon__run_created *created, ratoon_id id,
                                       uint64_t created_at, uint64_t created_event,
                                       const ratoon__run *parent);
ratoon__run_static *ratoon__static_ref(const ratoon__run_static *s);
void ratoon__static_unref(ratoon__run_static *s); /* NULL is fine */
/* What makes a first event unfit for the lineage, or NULL; only what the fold relies on, everything
 * else is the decider's business. The definition must be resolved. */
const char *ratoon__created_flaw(const ratoon__lineage *l, const ratoon__run_created *c,
                                 ratoon_id run, const ratoon__run *parent);
/* Deep copy of what a first event says; everything in the arena but the definition, which is only
 * pointed to. Failure shows in the arena. */
void ratoon__created_copy(ratoon__run_created *to, const ratoon__run_created *from,
                          ratoon__arena *arena);

#endif
