/* Adjusters of a stage: which parameters a retry after an error of some class should change (A02).
 */
#include "log/pipeline_read.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct adjust_draft {
    ratoon__adjust adjust;
    const ratoon__node *op, *by, *value, *min, *max;
} adjust_draft;

static const struct {
    const char *name;
    ratoon__adjust_op op;
} ops[] = {{"halve", RATOON__ADJUST_HALVE},
           {"double", RATOON__ADJUST_DOUBLE},
           {"add", RATOON__ADJUST_ADD},
           {"set", RATOON__ADJUST_SET}};

static bool read_op(ratoon__file *f, adjust_draft *d)
{
    for (size_t i = 0; d->op->kind == RATOON__NODE_SCALAR && i < sizeof ops / sizeof ops[0]; i++) {
        if (strcmp(d->op->text, ops[i].name) == 0) {
            d->adjust.op = ops[i].op;
            return true;
        }
    }
    return ratoon__bad(f, d->op, "found %s, expected one of halve, double, add, set for \"op\"",
                       ratoon__shown(f, d->op));
}

static bool read_number(ratoon__file *f, const ratoon__node *n, const char *key, double *out,
                        bool *has)
{
    const ratoon__field field = {.key = key, .min = -1e15, .max = 1e15};
    if (n == NULL) {
        return true;
    }
    if (has != NULL) {
        *has = true;
    }
    return ratoon__read_number(f, n, &field, out);
}

static bool read_set(ratoon__file *f, const ratoon__param_def *def, adjust_draft *d)
{
    if (d->value == NULL) {
        return ratoon__bad(f, d->op, "found set without \"value\", expected one");
    }
    if (d->min != NULL || d->max != NULL) {
        return ratoon__bad(f, d->min != NULL ? d->min : d->max,
                           "found a bound of set, expected \"value\" alone");
    }
    if (!ratoon__expect_text(f, d->value, "the value of a parameter")) {
        return false;
    }
    ratoon_error error;
    const ratoon_status status =
        ratoon__param_check(def, d->value->text, &f->p->arena, &d->adjust.value_text, &error);
    if (status == RATOON_ERR_NO_MEMORY) {
        return ratoon__bad_memory(f);
    }
    return status == RATOON_OK || ratoon__bad(f, d->value, "found %s, which doesn't fit: %s",
                                              ratoon__shown(f, d->value), error.message);
}

static bool check_op(ratoon__file *f, const ratoon__param_def *def, adjust_draft *d)
{
    const bool set = d->adjust.op == RATOON__ADJUST_SET, add = d->adjust.op == RATOON__ADJUST_ADD;
    if (!add && d->by != NULL) {
        return ratoon__bad(f, d->by, "found \"by\" of %s, expected it for add only", d->op->text);
    }
    if (!set && d->value != NULL) {
        return ratoon__bad(f, d->value, "found \"value\" of %s, expected it for set only",
                           d->op->text);
    }
    if (set) {
        return read_set(f, def, d);
    }
    if (def->type != RATOON__PARAM_INT && def->type != RATOON__PARAM_NUMBER) {
        return ratoon__bad(f, d->op, "found %s for parameter \"%s\", expected set: it is no number",
                           d->op->text, def->name);
    }
    if (add && d->by == NULL) {
        return ratoon__bad(f, d->op, "found add without \"by\", expected one");
    }
    return read_number(f, d->by, "by", &d->adjust.by, NULL) &&
           read_number(f, d->min, "min", &d->adjust.min, &d->adjust.has_min) &&
           read_number(f, d->max, "max", &d->adjust.max, &d->adjust.has_max);
}

static bool read_adjust(ratoon__file *f, const ratoon__node *key, ratoon__adjust *out)
{
    static const ratoon__field fields[] = {
        {"op", ratoon__read_node, offsetof(adjust_draft, op), true, 0, 0},
        {"by", ratoon__read_node, offsetof(adjust_draft, by), false, 0, 0},
        {"value", ratoon__read_node, offsetof(adjust_draft, value), false, 0, 0},
        {"min", ratoon__read_node, offsetof(adjust_draft, min), false, 0, 0},
        {"max", ratoon__read_node, offsetof(adjust_draft, max), false, 0, 0},
    };
    adjust_draft d = {.adjust = {.error_class = out->error_class}};
    const int32_t param = ratoon__pipeline_param_find(f->p, key->text);
    if (param < 0 || f->p->params[param].secret) {
        return ratoon__bad(f, key, "found %s, expected the name of a parameter%s",
                           ratoon__shown(f, key), param < 0 ? "" : " that is not secret");
    }
    d.adjust.param = (uint32_t)param;
    if (!ratoon__read_fields(f, key->next, "an adjuster", fields, sizeof fields / sizeof fields[0],
                             &d) ||
        !read_op(f, &d) || !check_op(f, &f->p->params[param], &d)) {
        return false;
    }
    if (d.adjust.has_min && d.adjust.has_max && d.adjust.min > d.adjust.max) {
        return ratoon__bad(f, d.max, "found a \"max\" below \"min\" %s, expected at least that",
                           d.min->text);
    }
    *out = d.adjust;
    return true;
}

static int compare_adjusts(const void *a, const void *b)
{
    const ratoon__adjust *left = a, *right = b;
    if (left->error_class != right->error_class) {
        return left->error_class < right->error_class ? -1 : 1;
    }
    return (left->param > right->param) - (left->param < right->param);
}

bool ratoon__read_adjusts(ratoon__file *f, const ratoon__node *n, ratoon__stage_def *stage)
{
    size_t count = 0;
    if (!ratoon__expect(f, n, RATOON__NODE_MAP, "a mapping from error classes to parameters")) {
        return false;
    }
    for (const ratoon__node *key = n->first; key != NULL; key = key->next->next) {
        if (!ratoon__expect(f, key->next, RATOON__NODE_MAP, "a mapping of parameters to adjust")) {
            return false;
        }
        count += key->next->count;
    }
    ratoon__adjust *adjusts = ratoon__keep(f, count, sizeof *adjusts);
    if (adjusts == NULL) {
        return false;
    }
    size_t i = 0;
    for (const ratoon__node *key = n->first; key != NULL; key = key->next->next) {
        ratoon_class error_class = RATOON_CLASS_NONE;
        if (!ratoon__class_of(f, key, &error_class)) {
            return false;
        }
        for (const ratoon__node *param = key->next->first; param != NULL;
             param = param->next->next) {
            adjusts[i].error_class = error_class;
            if (!read_adjust(f, param, &adjusts[i++])) {
                return false;
            }
        }
    }
    qsort(adjusts, count, sizeof *adjusts, compare_adjusts);
    stage->adjusts = adjusts;
    stage->adjusts_count = count;
    return true;
}
