/* The pipeline as core sees it: stages in a DAG, parameters, policies. Made by
 * ratoon__pipeline_new() and the parser of pipeline files, which fills in the draft and has it
 * checked; immutable and reference-counted afterwards. */
#ifndef RATOON_CORE_PIPELINE_H
#define RATOON_CORE_PIPELINE_H

#include "core/mem.h"

#ifdef __cplusplus
extern "C" {
#else
#include <stdatomic.h>
#endif

typedef enum ratoon__param_type {
    RATOON__PARAM_STRING = 1,
    RATOON__PARAM_INT,
    RATOON__PARAM_NUMBER,
    RATOON__PARAM_BOOL,
} ratoon__param_type;

typedef struct ratoon__param_def {
    const char *name;
    ratoon__param_type type;
    const char *default_text; /* canonical text, or NULL: must be given */
    bool has_min, has_max;
    double min, max; /* of INT (exact to 2^53) and NUMBER; for STRING of nothing */
    const char *const *choices;
    size_t choices_count;
    bool power_of_two;
    bool secret;
} ratoon__param_def;

typedef enum ratoon__adjust_op {
    RATOON__ADJUST_HALVE = 1,
    RATOON__ADJUST_DOUBLE,
    RATOON__ADJUST_ADD,
    RATOON__ADJUST_SET,
} ratoon__adjust_op;

typedef struct ratoon__adjust { /* {OOM: {batch_size: {op: halve, min: 1}}} */
    ratoon_class error_class;
    uint32_t param; /* index */
    ratoon__adjust_op op;
    double by;              /* ADD */
    const char *value_text; /* SET, canonical */
    bool has_min, has_max;
    double min, max;
} ratoon__adjust;

/* A stage: the public definition first, so that a pointer to one is a pointer to the other. */
typedef struct ratoon__stage_def {
    ratoon_stage_def pub;
    const ratoon__adjust *adjusts;
    size_t adjusts_count;
} ratoon__stage_def;

/* A key and a stage that declares producing it. */
typedef struct ratoon__producer {
    const char *key;
    uint32_t stage;
} ratoon__producer;

typedef enum ratoon__cascade { RATOON__CASCADE_NONE = 0, RATOON__CASCADE_AUTO } ratoon__cascade;

#ifndef __cplusplus /* opaque to the codec: C++17 has no atomic_uint that C shares */
struct ratoon_pipeline {
    atomic_uint refs;
    ratoon__arena arena; /* owns everything below */
    const char *name;
    uint64_t version;
    const ratoon__param_def *params;
    size_t params_count;
    const char *scope;  /* may contain ${param}; NULL: none */
    uint32_t max_depth; /* 0: not set */
    uint32_t max_active_branches;
    bool resume_on_failure;
    ratoon__cascade cascade;
    bool auto_retry;
    uint32_t auto_retry_attempts;
    uint64_t timeout_ms;
    const char *const *on_end;
    size_t on_end_count;
    const ratoon__stage_def *stages;
    size_t stages_count;
    const uint32_t *order;     /* topological, ties in file order */
    const uint64_t *ancestors; /* bitset rows: stage s depends on a (strictly) */
    size_t row_words;          /* words of a row */
    /* Look-ups by name: places of stages, + 1, by the hash of their names; 0: free. */
    const uint32_t *by_name; /* NULL in a draft */
    uint32_t by_name_mask;
    const ratoon__producer *producers; /* by key, then stage */
    size_t producers_count;
    const char *base_dir;  /* not part of the canonical form; NULL: unknown */
    const char *canonical; /* JSON, sorted keys */
    size_t canonical_size;
    ratoon_digest digest;
};
#endif

/* An empty draft, zeroed, with one reference. NULL: out of memory. */
ratoon_pipeline *ratoon__pipeline_new(void);
/* Checks the graph of a draft (names, count, needs, cycles, validates) whose arena, name, params,
 * stages etc. are filled in, computes order and ancestors. PIPELINE_INVALID with *bad_stage set to
 * the index of the offending stage (so that the parser can add line and column). */
ratoon_status ratoon__pipeline_check(ratoon_pipeline *draft, uint32_t *bad_stage,
                                     ratoon_error *error);
/* Indexes names and produced keys of a draft whose names are each there once. False: out of memory.
 */
bool ratoon__pipeline_index(ratoon_pipeline *draft);
ratoon_pipeline *ratoon__pipeline_ref(const ratoon_pipeline *p);
void ratoon__pipeline_unref(ratoon_pipeline *p); /* NULL is fine */
bool ratoon__pipeline_is_ancestor(const ratoon_pipeline *p, uint32_t ancestor, uint32_t stage);
int32_t ratoon__pipeline_find(const ratoon_pipeline *p, const char *stage); /* or -1 */
/* The stages that declare producing a key, in the order of the file. */
const ratoon__producer *ratoon__pipeline_producers(const ratoon_pipeline *p, const char *key,
                                                   size_t *count);
int32_t ratoon__pipeline_param_find(const ratoon_pipeline *p, const char *name);

/* Checks a parameter's text against its declaration and gives its canonical form (in the arena):
 * " 08" is no int, "8" is; true/false; numbers in shortest form. PARAM_INVALID says what was found
 * and expected (never the value of a secret). LIMIT_EXCEEDED over RATOON_PARAM_MAX. */
ratoon_status ratoon__param_check(const ratoon__param_def *def, const char *text,
                                  ratoon__arena *arena, const char **canonical,
                                  ratoon_error *error);
/* New canonical value of a parameter after an adjuster; *changed false where the bound is reached.
 */
ratoon_status ratoon__param_adjust(const ratoon__param_def *def, const ratoon__adjust *adjust,
                                   const char *text, ratoon__arena *arena, const char **out,
                                   bool *changed);

/* Topological helper sets: bitsets of stages, row_words words each. */
typedef uint64_t *ratoon__stage_set;
ratoon__stage_set ratoon__set_new(ratoon__arena *a, const ratoon_pipeline *p);
static inline void ratoon__set_add(uint64_t *set, uint32_t i)
{
    set[i / 64] |= (uint64_t)1 << (i % 64);
}
static inline bool ratoon__set_has(const uint64_t *set, uint32_t i)
{
    return (set[i / 64] >> (i % 64)) & 1;
}

#ifdef __cplusplus
}
#endif
#endif
