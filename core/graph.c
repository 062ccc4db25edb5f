/* The graph of a definition: what makes it valid, its topological order, who comes before whom. */
#include "core/pipeline.h"

#include <stdlib.h>
#include <string.h>

typedef struct check {
    ratoon_pipeline *p;
    uint32_t *bad_stage;
    ratoon_error *error;
} check;

static const ratoon_stage_def *stage_of(const check *c, uint32_t i)
{
    return &c->p->stages[i].pub;
}

static ratoon_status bad(const check *c, uint32_t stage, ratoon_status status)
{
    if (c->bad_stage != NULL) {
        *c->bad_stage = stage;
    }
    return status;
}

static ratoon_status no_memory(const check *c)
{
    return ratoon__fail(c->error, RATOON_ERR_NO_MEMORY, "no memory for the graph of %u stages",
                        (uint32_t)c->p->stages_count);
}

static ratoon_status check_name(const check *c, uint32_t i)
{
    const char *name = stage_of(c, i)->name;
    const size_t length = name == NULL ? 0 : strlen(name);
    if (length == 0) {
        return bad(c, i,
                   ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                "stage %u has no name; every stage needs one", i + 1));
    }
    if (length > RATOON_NAME_MAX) {
        return bad(c, i,
                   ratoon__fail(c->error, RATOON_ERR_LIMIT_EXCEEDED,
                                "the name of stage %u has %U bytes; a name has at most %u", i + 1,
                                (uint64_t)length, (uint32_t)RATOON_NAME_MAX));
    }
    for (size_t k = 0; k < length; k++) {
        if ((unsigned char)name[k] < 0x20 || name[k] == 0x7f) {
            return bad(c, i,
                       ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                    "the name of stage %u has a control character in it", i + 1));
        }
    }
    return RATOON_OK;
}

typedef struct named {
    const char *name;
    uint32_t index;
} named;

static int compare_named(const void *a, const void *b)
{
    const named *left = a;
    const named *right = b;
    const int order = strcmp(left->name, right->name);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

static ratoon_status check_names(const check *c)
{
    const uint32_t count = (uint32_t)c->p->stages_count;
    named *names = malloc(count * sizeof *names);
    if (names == NULL) {
        return no_memory(c);
    }
    ratoon_status status = RATOON_OK;
    for (uint32_t i = 0; i < count && status == RATOON_OK; i++) {
        status = check_name(c, i);
        names[i] = (named){stage_of(c, i)->name, i};
    }
    if (status == RATOON_OK) {
        qsort(names, count, sizeof *names, compare_named);
    }
    for (uint32_t i = 1; i < count && status == RATOON_OK; i++) {
        if (strcmp(names[i - 1].name, names[i].name) == 0) {
            status = bad(c, names[i].index,
                         ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                      "two stages are named '%s'; a name stands for one stage",
                                      names[i].name));
        }
    }
    free(names);
    return status;
}

static ratoon_status check_needs(const check *c, uint32_t i)
{
    const ratoon_stage_def *s = stage_of(c, i);
    for (size_t k = 0; k < s->needs_count; k++) {
        if (s->needs[k] == i) {
            return bad(c, i,
                       ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                    "stage '%s' needs itself", s->name));
        }
        if (s->needs[k] >= c->p->stages_count || (k > 0 && s->needs[k] <= s->needs[k - 1])) {
            return bad(c, i,
                       ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                    "the needs of stage '%s' are not stages in ascending order, "
                                    "each once",
                                    s->name));
        }
    }
    return RATOON_OK;
}

/* Walks from a stage that is left over upwards among such stages until one comes again. */
static ratoon_status report_cycle(const check *c, const bool *ordered, uint32_t start)
{
    ratoon__buf text = {0};
    const uint32_t count = (uint32_t)c->p->stages_count;
    uint32_t at = start;
    for (uint32_t step = 0; step < 2 * count; step++) {
        const ratoon_stage_def *s = stage_of(c, at);
        if (step == count) { /* by now it is on the cycle */
            start = at;
        }
        if (step >= count) {
            ratoon__buf_format(&text, "'%s' needs ", s->name);
        }
        size_t k = 0;
        while (k < s->needs_count && ordered[s->needs[k]]) {
            k++;
        }
        if (k == s->needs_count) { /* can't be: it would have been ordered */
            break;
        }
        at = s->needs[k];
        if (step >= count && at == start) {
            break;
        }
    }
    ratoon__buf_format(&text, "'%s'", stage_of(c, start)->name);
    const ratoon_status status =
        ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID, "the stages' needs go in a circle: %s",
                     text.failed || text.data == NULL ? stage_of(c, start)->name : text.data);
    ratoon__buf_free(&text);
    return bad(c, start, status);
}

static void add_ancestors(const check *c, uint64_t *rows, uint32_t stage)
{
    const ratoon_stage_def *s = stage_of(c, stage);
    const size_t words = c->p->row_words;
    uint64_t *row = rows + (size_t)stage * words;
    for (size_t k = 0; k < s->needs_count; k++) {
        const uint64_t *above = rows + (size_t)s->needs[k] * words;
        for (size_t w = 0; w < words; w++) {
            row[w] |= above[w];
        }
        ratoon__set_add(row, s->needs[k]);
    }
}

static bool is_ready(const check *c, const bool *ordered, uint32_t i)
{
    const ratoon_stage_def *s = stage_of(c, i);
    for (size_t k = 0; k < s->needs_count; k++) {
        if (!ordered[s->needs[k]]) {
            return false;
        }
    }
    return true;
}

/* Takes the first stage of the file that is ready, again and again. A stage that became ready
 * stands behind the one taken unless it is written before its need, so most definitions are
 * ordered in one pass. */
static ratoon_status order_stages(const check *c)
{
    const uint32_t count = (uint32_t)c->p->stages_count;
    ratoon__arena *arena = &c->p->arena;
    uint32_t *order = ratoon__arena_alloc(arena, count * sizeof *order);
    uint64_t *rows = ratoon__arena_alloc(arena, count * c->p->row_words * sizeof *rows);
    bool *ordered = calloc(count, sizeof *ordered);
    ratoon_status status = RATOON_OK;
    if (order == NULL || rows == NULL || ordered == NULL) {
        status = no_memory(c);
    }
    uint32_t first = 0; /* the first stage that is left */
    for (uint32_t done = 0; done < count && status == RATOON_OK; done++) {
        while (ordered[first]) {
            first++;
        }
        uint32_t i = first;
        while (i < count && (ordered[i] || !is_ready(c, ordered, i))) {
            i++;
        }
        if (i == count) {
            status = report_cycle(c, ordered, first);
            break;
        }
        ordered[i] = true;
        order[done] = i;
        add_ancestors(c, rows, i);
    }
    free(ordered);
    c->p->order = order;
    c->p->ancestors = rows;
    return status;
}

static ratoon_status check_validator(const check *c, uint32_t i)
{
    const ratoon_stage_def *s = stage_of(c, i);
    if (s->validates < 0) {
        return RATOON_OK;
    }
    const uint32_t target = (uint32_t)s->validates;
    if (target >= c->p->stages_count) {
        return bad(c, i,
                   ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                "what stage '%s' validates is not a stage", s->name));
    }
    const char *name = stage_of(c, target)->name;
    if (s->produces_count > 0) {
        return bad(c, i,
                   ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                "stage '%s' validates '%s', so it can't produce anything", s->name,
                                name));
    }
    if (stage_of(c, target)->validates >= 0) {
        return bad(c, i,
                   ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                "stage '%s' validates '%s', which is a validator itself", s->name,
                                name));
    }
    if (!ratoon__pipeline_is_ancestor(c->p, target, i)) {
        return bad(c, i,
                   ratoon__fail(c->error, RATOON_ERR_PIPELINE_INVALID,
                                "stage '%s' validates '%s', so it must depend on it (needs)",
                                s->name, name));
    }
    return RATOON_OK;
}

ratoon_status ratoon__pipeline_check(ratoon_pipeline *draft, uint32_t *bad_stage,
                                     ratoon_error *error)
{
    const check c = {draft, bad_stage, error};
    if (bad_stage != NULL) {
        *bad_stage = 0;
    }
    if (draft->stages_count == 0) {
        return ratoon__fail(error, RATOON_ERR_PIPELINE_INVALID,
                            "the pipeline has no stages; it needs at least one");
    }
    if (draft->stages_count > RATOON_STAGES_MAX) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "the pipeline has %U stages; the limit is %u",
                            (uint64_t)draft->stages_count, (uint32_t)RATOON_STAGES_MAX);
    }
    draft->row_words = (draft->stages_count + 63) / 64;
    ratoon_status status = check_names(&c);
    for (uint32_t i = 0; i < draft->stages_count && status == RATOON_OK; i++) {
        status = check_needs(&c, i);
    }
    if (status == RATOON_OK) {
        status = order_stages(&c);
    }
    for (uint32_t i = 0; i < draft->stages_count && status == RATOON_OK; i++) {
        status = check_validator(&c, i);
    }
    if (status == RATOON_OK && !ratoon__pipeline_index(draft)) {
        status = no_memory(&c);
    }
    return status;
}
