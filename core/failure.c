/* What a failure suggests: adjusted parameters, and whether a retry can help (A02). */
#include "core/decide_internal.h"

#include <string.h>

/* Whether doing the same again may end otherwise. Being out of memory, breaking a rule and lacking
 * an input come back with the same parameters and the same input; of what is not known, a retry is
 * not ruled out. */
static bool helps_by_itself(ratoon_class error_class)
{
    switch (error_class) {
    case RATOON_CLASS_TIMEOUT:
    case RATOON_CLASS_TRANSIENT:
    case RATOON_CLASS_CANCELLED:
    case RATOON_CLASS_INTERRUPTED:
    case RATOON_CLASS_EXECUTION:
    case RATOON_CLASS_UNKNOWN:
        return true;
    case RATOON_CLASS_NONE:
    case RATOON_CLASS_OOM:
    case RATOON_CLASS_VALIDATION:
    case RATOON_CLASS_DEPENDENCY:
        break;
    }
    return false;
}

static ratoon__override *suggestion_of(ratoon__override *suggested, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(suggested[i].name, name) == 0) {
            return &suggested[i];
        }
    }
    return NULL;
}

static ratoon_status suggest(const ratoon__run *r, const ratoon__adjust *adjust,
                             ratoon__override *suggested, size_t *count, ratoon__arena *arena)
{
    const ratoon__run_created *c = &r->fixed->created;
    const ratoon__param_def *def = &r->pipeline->params[adjust->param];
    const ratoon__param *param = ratoon__param_of(c->params, c->params_count, def->name);
    ratoon__override *found = suggestion_of(suggested, *count, def->name);
    const char *text = param != NULL ? param->text : def->default_text;
    const char *adjusted = NULL;
    bool changed = false;
    if (def->secret || text == NULL) {
        return RATOON_OK;
    }
    const char *from = found != NULL ? found->new_text : text;
    ratoon_status status = ratoon__param_adjust(def, adjust, from, arena, &adjusted, &changed);
    if (status != RATOON_OK || !changed) {
        return status;
    }
    if (found == NULL) {
        found = &suggested[(*count)++];
        *found = (ratoon__override){.name = ratoon__arena_strdup(arena, def->name),
                                    .old_text = ratoon__arena_strdup(arena, text)};
    }
    found->new_text = adjusted;
    return RATOON_OK;
}

ratoon_status ratoon__failure_complete(const ratoon__run *r, uint32_t stage, ratoon__failure *f,
                                       ratoon__arena *arena)
{
    const ratoon__stage_def *def = &r->pipeline->stages[stage];
    ratoon__override *suggested =
        ratoon__arena_alloc(arena, def->adjusts_count * sizeof *suggested);
    size_t count = 0;
    if (suggested == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < def->adjusts_count; i++) {
        if (def->adjusts[i].error_class != f->error_class) {
            continue;
        }
        ratoon_status status = suggest(r, &def->adjusts[i], suggested, &count, arena);
        if (status != RATOON_OK) {
            return status;
        }
    }
    f->suggested = suggested;
    f->suggested_count = count;
    f->retryable = count > 0 || helps_by_itself(f->error_class);
    return arena->failed ? RATOON_ERR_NO_MEMORY : RATOON_OK;
}
