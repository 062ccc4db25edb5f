/* Lineages built event by event, for tests of what is pure. Whatever fails here aborts. */
#ifndef RATOON_TESTS_LINEAGE_H
#define RATOON_TESTS_LINEAGE_H

#include "core/projection.h"

/* A definition from a line such as "a; b: a; c: a b !commits; d: b c !allow_failure". Digest and
 * canonical form are made up from the line. Free with ratoon_pipeline_free(). */
ratoon_pipeline *support_pipeline(const char *line);
uint32_t support_stage(const ratoon_pipeline *p, const char *name);
ratoon_id support_id(uint64_t n); /* n > 0 */
/* An inline value; the digest is made up from the text. key and text are borrowed. */
ratoon__value_ref support_value(const char *key, const char *text);

typedef struct support_lineage {
    ratoon__arena arena; /* for events */
    ratoon__lineage *l;
    ratoon__lineage *alone; /* the same, only ever folded in place; NULL: left alone */
    uint64_t time_us;       /* of the last commit; the next is a second later */
    uint64_t next_run;
    ratoon_status status; /* of the last fold */
    ratoon_error error;
} support_lineage;

/* A lineage with its root run, running, with an initial state. */
void support_lineage_init(support_lineage *s, const ratoon_pipeline *p,
                          const ratoon__value_ref *state, size_t count);
void support_lineage_free(support_lineage *s);
/* Appends one commit. The status is also kept in s. */
ratoon_status support_commit(support_lineage *s, const ratoon__event *events, size_t count);
/* The commit without appending it. Lent until s is freed. */
ratoon__commit support_next(support_lineage *s, const ratoon__event *events, size_t count);

/* Short ways; run by its number. Each is one commit and must succeed. */
const ratoon__run *support_run(const support_lineage *s, uint32_t number);
const ratoon__stage *support_stage_of(const support_lineage *s, uint32_t number, const char *stage);
void support_start(support_lineage *s, uint32_t run, const char *stage);
/* outputs: "key=value key=value", or NULL. */
void support_end(support_lineage *s, uint32_t run, const char *stage, ratoon_stage_status status,
                 const char *outputs);
/* Starts and succeeds. */
void support_succeed(support_lineage *s, uint32_t run, const char *stage, const char *outputs);
void support_item(support_lineage *s, uint32_t run, const char *stage, const char *key, bool failed,
                  bool committed, const char *output);
void support_finish(support_lineage *s, uint32_t run, ratoon_run_status status);

typedef struct support_branch {
    uint32_t parent;                 /* number */
    const char *rerun;               /* stages in the rerun set: "b c" */
    const char *edits;               /* "key=value …", or NULL */
    const char *partial;             /* the same, as included partial outputs */
    const ratoon_pipeline *pipeline; /* NULL: the parent's */
    const ratoon__stage_plan *plans;
    size_t plans_count;
    bool only;
} support_branch;
/* Creates a running branch; gives its number. */
uint32_t support_branch_create(support_lineage *s, const support_branch *b);

/* The event of a run, zeroed otherwise. */
ratoon__event support_event(const support_lineage *s, ratoon__event_type type, uint32_t run);
ratoon__event support_stage_event(const support_lineage *s, ratoon__event_type type, uint32_t run,
                                  const char *stage);

/* The value of a key in the state at a boundary ("end", …), or "(none)"; lent by s. */
const char *support_state(support_lineage *s, uint32_t run, const char *boundary, const char *key);
const char *support_input(support_lineage *s, uint32_t run, const char *stage, const char *key);

#endif
