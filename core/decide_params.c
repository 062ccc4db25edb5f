/* A run's parameters: given, inherited, default (R12), and the scope made of them (R10). */
#include "core/decide_internal.h"

#include <string.h>

const ratoon__param *ratoon__param_of(const ratoon__param *params, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(params[i].name, name) == 0) {
            return &params[i];
        }
    }
    return NULL;
}

static const ratoon_pair *pair_of(const ratoon_pair *pairs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (pairs[i].name != NULL && strcmp(pairs[i].name, name) == 0) {
            return &pairs[i];
        }
    }
    return NULL;
}

static void refuse_unknown(const ratoon_pipeline *p, const char *name, ratoon__refusals *refusals)
{
    ratoon__buf list = {0};
    for (size_t i = 0; i < p->params_count; i++) {
        ratoon__buf_format(&list, "%s%s", i == 0 ? "" : ", ", p->params[i].name);
    }
    const char *names = ratoon__arena_take(refusals->arena, &list);
    ratoon__refuse(refusals, RATOON_ERR_PARAM_INVALID,
                   "the pipeline %s has no parameter '%s'; its parameters are: %s", p->name, name,
                   p->params_count == 0 ? "(none)" : names);
}

/* Names that were given: declared, and each once. */
static void check_given(const ratoon__params_request *q, ratoon__refusals *refusals)
{
    for (size_t i = 0; i < q->given_count; i++) {
        const char *name = q->given[i].name == NULL ? "" : q->given[i].name;
        if (pair_of(q->given, i, name) != NULL) {
            ratoon__refuse(refusals, RATOON_ERR_PARAM_INVALID,
                           "the parameter '%s' is given twice; give it once", name);
        } else if (ratoon__pipeline_param_find(q->pipeline, name) < 0) {
            refuse_unknown(q->pipeline, name, refusals);
        }
    }
}

static void refuse_absent(const ratoon__param_def *def, ratoon__refusals *refusals)
{
    ratoon__refusal *refusal =
        ratoon__refuse(refusals, RATOON_ERR_PARAM_INVALID,
                       "the parameter '%s' has no default and must be given", def->name);
    if (!def->secret) {
        refusal->hint = ratoon__arena_text(refusals->arena, "--param %s=VALUE", def->name);
        return;
    }
    ratoon__buf upper = {0};
    for (const char *c = def->name; *c != '\0'; c++) {
        const char letter = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        ratoon__buf_add(&upper, &letter, 1);
    }
    refusal->hint =
        ratoon__arena_text(refusals->arena, "put it into the environment variable RATOON_SECRET_%s",
                           upper.failed ? "" : upper.data);
    ratoon__buf_free(&upper);
}

/* The canonical form of a text, or NULL and a refusal. */
static const char *checked(const ratoon__param_def *def, const char *text, ratoon__arena *arena,
                           ratoon__refusals *refusals)
{
    ratoon_error error;
    const char *canonical = NULL;
    if (ratoon__param_check(def, text, arena, &canonical, &error) != RATOON_OK) {
        ratoon__refuse_error(refusals, &error);
        return NULL;
    }
    return canonical;
}

/* Of a secret only the keyed digest is ever kept (E08). */
static const char *resolve_secret(const ratoon__params_request *q, const ratoon__param_def *def,
                                  ratoon__arena *arena, ratoon__refusals *refusals)
{
    const ratoon_pair *given = pair_of(q->given, q->given_count, def->name);
    const ratoon__param *digest = ratoon__param_of(q->secrets, q->secrets_count, def->name);
    const ratoon__param *old = ratoon__param_of(q->old, q->old_count, def->name);
    if (given != NULL && checked(def, given->value, arena, refusals) == NULL) {
        return NULL;
    }
    if (digest != NULL) {
        return digest->text;
    }
    if (given != NULL) {
        ratoon__refuse(refusals, RATOON_ERR_PARAM_INVALID,
                       "the secret parameter '%s' was given without its digest", def->name);
        return NULL;
    }
    if (old != NULL && old->secret) {
        return old->text;
    }
    if (def->default_text == NULL) {
        refuse_absent(def, refusals);
    }
    return NULL;
}

static const char *resolve_plain(const ratoon__params_request *q, const ratoon__param_def *def,
                                 ratoon__arena *arena, ratoon__refusals *refusals)
{
    const ratoon_pair *given = pair_of(q->given, q->given_count, def->name);
    if (given != NULL) {
        return checked(def, given->value, arena, refusals);
    }
    /* The parent's value was checked against the declaration of its time: another definition may
     * have another one (R16). */
    const ratoon__param *old = ratoon__param_of(q->old, q->old_count, def->name);
    if (old != NULL && !old->secret) {
        return checked(def, old->text, arena, refusals);
    }
    if (def->default_text == NULL) {
        refuse_absent(def, refusals);
    }
    return def->default_text;
}

ratoon_status ratoon__params_resolve(const ratoon__params_request *request, ratoon__arena *arena,
                                     ratoon__refusals *refusals, ratoon__param **out, size_t *count)
{
    const ratoon_pipeline *p = request->pipeline;
    ratoon__param *params = ratoon__arena_alloc(arena, p->params_count * sizeof *params);
    if (params == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    check_given(request, refusals);
    size_t n = 0;
    for (size_t i = 0; i < p->params_count; i++) {
        const ratoon__param_def *def = &p->params[i];
        const char *text = def->secret ? resolve_secret(request, def, arena, refusals)
                                       : resolve_plain(request, def, arena, refusals);
        if (text != NULL) {
            params[n++] = (ratoon__param){.name = def->name, .text = text, .secret = def->secret};
        }
    }
    *out = params;
    *count = n;
    return arena->failed ? RATOON_ERR_NO_MEMORY : RATOON_OK;
}

/* ---- scope ---- */

static ratoon_status scope_value(const ratoon_pipeline *p, const char *name,
                                 const ratoon__param *params, size_t count, ratoon__arena *arena,
                                 ratoon__buf *out, ratoon_error *error)
{
    const int32_t index = ratoon__pipeline_param_find(p, name);
    if (index < 0) {
        return ratoon__fail(error, RATOON_ERR_PARAM_INVALID,
                            "the scope '%s' names the parameter '%s', which is not declared",
                            p->scope, name);
    }
    const ratoon__param_def *def = &p->params[index];
    if (def->secret) {
        return ratoon__fail(error, RATOON_ERR_PARAM_INVALID,
                            "the scope '%s' names the secret parameter '%s'; a scope is readable",
                            p->scope, name);
    }
    const ratoon__param *param = ratoon__param_of(params, count, name);
    const char *text = param != NULL ? param->text : def->default_text;
    if (text == NULL) {
        return ratoon__fail(error, RATOON_ERR_PARAM_INVALID,
                            "the scope '%s' needs the parameter '%s', which has no value", p->scope,
                            name);
    }
    const char *canonical = NULL;
    ratoon_status status = ratoon__param_check(def, text, arena, &canonical, error);
    if (status == RATOON_OK) {
        ratoon__buf_str(out, canonical);
    }
    return status;
}

ratoon_status ratoon__scope_of(const ratoon_pipeline *p, const ratoon__param *params, size_t count,
                               ratoon__arena *arena, const char **out, ratoon_error *error)
{
    if (p->scope == NULL) {
        *out = NULL;
        return RATOON_OK;
    }
    ratoon__buf text = {0};
    ratoon_status status = RATOON_OK;
    const char *at = p->scope;
    while (status == RATOON_OK && *at != '\0') {
        const char *open = strstr(at, "${");
        const char *close = open == NULL ? NULL : strchr(open, '}');
        if (close == NULL) {
            ratoon__buf_str(&text, at);
            break;
        }
        ratoon__buf_add(&text, at, (size_t)(open - at));
        char *name = ratoon__arena_memdup(arena, open + 2, (size_t)(close - open) - 1);
        if (name == NULL) {
            text.failed = true;
            break;
        }
        name[close - open - 2] = '\0';
        status = scope_value(p, name, params, count, arena, &text, error);
        at = close + 1;
    }
    const char *scope = ratoon__arena_take(arena, &text);
    if (status == RATOON_OK && scope == NULL) {
        status = ratoon__no_memory(error);
    }
    if (status == RATOON_OK) {
        status = ratoon__name_check("scope", scope, error);
    }
    if (status == RATOON_OK) {
        *out = scope;
    }
    return status;
}
