/* What the files of the fold share. */
#ifndef RATOON_CORE_FOLD_H
#define RATOON_CORE_FOLD_H

#include "core/objects.h"

typedef struct ratoon__folding { /* a fold under way */
    ratoon__lineage *l;          /* the new version; only the fold sees it */
    uint64_t time_us;            /* of the commit */
    uint64_t event;              /* number of the present event in the lineage */
    ratoon_error *error;
} ratoon__folding;

ratoon_status ratoon__fold_no_memory(const ratoon__folding *f);
/* DAMAGED: the event can't follow what was before. */
ratoon_status ratoon__fold_damaged(const ratoon__folding *f, const char *what);

/* run.created: the new run with its stages, inherited where it is a branch (branch.c). */
ratoon_status ratoon__fold_created(ratoon__folding *f, const ratoon__event *e);
/* The run that such an event makes, for whoever wants to know before it is appended. parent: its
 * run, NULL for a root. NULL when out of memory. Released with ratoon__run_unref(). */
ratoon__run *ratoon__created_run(const ratoon__event *e, uint64_t time_us, uint64_t event,
                                 const ratoon__run *parent);
/* run.pipeline_changed: the run's stages by name in the new definition (branch.c). */
ratoon_status ratoon__fold_pipeline(ratoon__folding *f, ratoon__run **run, const ratoon__event *e);
/* Everything about a stage or an item (fold_stage.c). */
ratoon_status ratoon__fold_stage(ratoon__folding *f, ratoon__run *r, const ratoon__event *e);

#endif
