/* Parameters and policies of a pipeline file. */
#include "core/number.h"
#include "log/pipeline_read.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WHOLE_MAX 9007199254740992.0 /* 2^53: exact in a double */

/* A declaration as it is read; what depends on the type is looked at when all is known. */
typedef struct param_draft {
    ratoon__param_def def;
    const ratoon__node *type, *value, *min, *max, *choices;
} param_draft;

static const struct {
    const char *name;
    ratoon__param_type type;
} types[] = {{"string", RATOON__PARAM_STRING},
             {"int", RATOON__PARAM_INT},
             {"number", RATOON__PARAM_NUMBER},
             {"bool", RATOON__PARAM_BOOL}};

static bool read_type(ratoon__file *f, param_draft *d)
{
    for (size_t i = 0; d->type->kind == RATOON__NODE_SCALAR && i < sizeof types / sizeof types[0];
         i++) {
        if (strcmp(d->type->text, types[i].name) == 0) {
            d->def.type = types[i].type;
            return true;
        }
    }
    return ratoon__bad(f, d->type, "found %s, expected one of the types string, int, number, bool",
                       ratoon__shown(f, d->type));
}

static bool is_numeric(const param_draft *d)
{
    return d->def.type == RATOON__PARAM_INT || d->def.type == RATOON__PARAM_NUMBER;
}

static bool read_bound(ratoon__file *f, const param_draft *d, const ratoon__node *n,
                       const char *key, bool *has, double *out)
{
    if (n == NULL) {
        return true;
    }
    if (!is_numeric(d)) {
        return ratoon__bad(f, n,
                           "found \"%s\" of parameter \"%s\", expected it for int and number "
                           "only",
                           key, d->def.name);
    }
    const bool whole = d->def.type == RATOON__PARAM_INT;
    const ratoon__field field = {
        .key = key, .min = whole ? -WHOLE_MAX : -1e300, .max = whole ? WHOLE_MAX : 1e300};
    int64_t integer = 0;
    if (!ratoon__read_number(f, n, &field, out)) {
        return false;
    }
    if (whole && !ratoon__int_parse(n->text, &integer)) {
        return ratoon__bad(f, n, "found %s, expected a whole number for \"%s\"",
                           ratoon__shown(f, n), key);
    }
    *has = true;
    return true;
}

/* Canonical form of a value written in the file. */
static bool canonical_of(ratoon__file *f, const ratoon__param_def *def, const ratoon__node *n,
                         const char **out)
{
    if (!ratoon__expect_text(f, n, "the value of a parameter")) {
        return false;
    }
    ratoon_error error;
    const ratoon_status status = ratoon__param_check(def, n->text, &f->p->arena, out, &error);
    if (status == RATOON_ERR_NO_MEMORY) {
        return ratoon__bad_memory(f);
    }
    if (status == RATOON_ERR_LIMIT_EXCEEDED) {
        return ratoon__bad_limit(f, n, "%s", error.message);
    }
    return status == RATOON_OK ||
           ratoon__bad(f, n, "found %s, which doesn't fit: %s", ratoon__shown(f, n), error.message);
}

static bool read_choices(ratoon__file *f, param_draft *d)
{
    const ratoon__node *n = d->choices;
    if (n == NULL) {
        return true;
    }
    if (!ratoon__expect(f, n, RATOON__NODE_LIST, "a list of the values there are to choose from")) {
        return false;
    }
    if (n->count == 0 || d->def.type == RATOON__PARAM_BOOL) {
        return ratoon__bad(f, n,
                           "found %s as \"choices\" of parameter \"%s\", expected values, and "
                           "not for bool",
                           ratoon__shown(f, n), d->def.name);
    }
    const char **choices = ratoon__keep(f, n->count, sizeof *choices);
    size_t count = 0;
    for (const ratoon__node *one = n->first; choices != NULL && one != NULL; one = one->next) {
        if (!canonical_of(f, &d->def, one, &choices[count])) {
            return false;
        }
        count++;
    }
    d->def.choices = choices;
    d->def.choices_count = count;
    return choices != NULL;
}

/* Parameters reach stages as RATOON_PARAM_NAME, and scopes as ${name}. */
static bool check_param_name(ratoon__file *f, const ratoon__node *key)
{
    const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    const char *all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    if (!ratoon__check_name(f, key, "the name of a parameter")) {
        return false;
    }
    return (strspn(key->text, letters) > 0 && strspn(key->text, all) == key->size) ||
           ratoon__bad(f, key,
                       "found %s, expected a parameter's name of letters, digits and _, not "
                       "beginning with a digit",
                       ratoon__shown(f, key));
}

static bool read_param(ratoon__file *f, const ratoon__node *key, const ratoon__node *n,
                       ratoon__param_def *out)
{
    static const ratoon__field fields[] = {
        {"type", ratoon__read_node, offsetof(param_draft, type), true, 0, 0},
        {"default", ratoon__read_node, offsetof(param_draft, value), false, 0, 0},
        {"min", ratoon__read_node, offsetof(param_draft, min), false, 0, 0},
        {"max", ratoon__read_node, offsetof(param_draft, max), false, 0, 0},
        {"choices", ratoon__read_node, offsetof(param_draft, choices), false, 0, 0},
        {"power_of_two", ratoon__read_bool,
         offsetof(param_draft, def) + offsetof(ratoon__param_def, power_of_two), false, 0, 0},
        {"secret", ratoon__read_bool,
         offsetof(param_draft, def) + offsetof(ratoon__param_def, secret), false, 0, 0},
    };
    param_draft d = {0};
    if (!check_param_name(f, key) || (d.def.name = ratoon__keep_text(f, key->text)) == NULL ||
        !ratoon__read_fields(f, n, "a parameter", fields, sizeof fields / sizeof fields[0], &d) ||
        !read_type(f, &d) || !read_bound(f, &d, d.min, "min", &d.def.has_min, &d.def.min) ||
        !read_bound(f, &d, d.max, "max", &d.def.has_max, &d.def.max)) {
        return false;
    }
    if (d.def.has_min && d.def.has_max && d.def.min > d.def.max) {
        return ratoon__bad(f, d.max, "found a \"max\" below \"min\" %s, expected at least that",
                           d.min->text);
    }
    if (d.def.power_of_two && d.def.type != RATOON__PARAM_INT) {
        return ratoon__bad(f, d.type, "found %s with \"power_of_two\", expected the type int",
                           ratoon__shown(f, d.type));
    }
    if (d.def.secret && d.value != NULL) {
        return ratoon__bad(f, d.value,
                           "found a default of the secret parameter \"%s\", expected "
                           "none: its value comes from the environment",
                           d.def.name);
    }
    if (!read_choices(f, &d) ||
        (d.value != NULL && !canonical_of(f, &d.def, d.value, &d.def.default_text))) {
        return false;
    }
    *out = d.def;
    return true;
}

static int compare_params(const void *a, const void *b)
{
    return strcmp(((const ratoon__param_def *)a)->name, ((const ratoon__param_def *)b)->name);
}

static int compare_caseless(const void *a, const void *b)
{
    const ratoon__node *left = *(const ratoon__node *const *)a;
    const ratoon__node *right = *(const ratoon__node *const *)b;
    const int order = strcasecmp(left->text, right->text);
    return order != 0 ? order : (left->line > right->line) - (left->line < right->line);
}

/* In the environment names are in capitals, so they must differ in more than case. */
static bool check_capitals(ratoon__file *f, const ratoon__node *n)
{
    const ratoon__node **keys = ratoon__arena_alloc(f->nodes, n->count * sizeof(ratoon__node *));
    if (keys == NULL) {
        return ratoon__bad_memory(f);
    }
    size_t count = 0;
    for (const ratoon__node *key = n->first; key != NULL; key = key->next->next) {
        keys[count++] = key;
    }
    qsort(keys, count, sizeof(ratoon__node *), compare_caseless);
    for (size_t i = 1; i < count; i++) {
        if (strcasecmp(keys[i - 1]->text, keys[i]->text) == 0) {
            return ratoon__bad(f, keys[i],
                               "found the parameters \"%s\" and \"%s\", expected names "
                               "that differ in capitals too",
                               keys[i - 1]->text, keys[i]->text);
        }
    }
    return true;
}

bool ratoon__read_params(ratoon__file *f, const ratoon__node *n)
{
    if (n == NULL) {
        return true;
    }
    if (!ratoon__expect(f, n, RATOON__NODE_MAP, "a mapping of parameters")) {
        return false;
    }
    ratoon__param_def *params = ratoon__keep(f, n->count, sizeof *params);
    size_t count = 0;
    for (const ratoon__node *key = n->first; params != NULL && key != NULL; key = key->next->next) {
        if (!read_param(f, key, key->next, &params[count])) {
            return false;
        }
        count++;
    }
    if (params == NULL || !check_capitals(f, n)) {
        return false;
    }
    /* By name, so that a file and its canonical form give the same order. */
    qsort(params, count, sizeof *params, compare_params);
    f->p->params = params;
    f->p->params_count = count;
    return true;
}

/* ---- policy ---- */

static bool read_cascade(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                         void *out)
{
    const char *text = n->kind == RATOON__NODE_SCALAR ? n->text : "";
    if (strcmp(text, "auto") == 0) {
        *(ratoon__cascade *)out = RATOON__CASCADE_AUTO;
    } else if (strcmp(text, "none") == 0) {
        *(ratoon__cascade *)out = RATOON__CASCADE_NONE;
    } else {
        return ratoon__bad(f, n, "found %s, expected none or auto for \"%s\"", ratoon__shown(f, n),
                           field->key);
    }
    return true;
}

static bool read_auto_retry(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                            void *out)
{
    static const ratoon__field fields[] = {
        {"enabled", ratoon__read_bool, offsetof(ratoon_pipeline, auto_retry), false, 0, 0},
        {"attempts", ratoon__read_u32, offsetof(ratoon_pipeline, auto_retry_attempts), false, 1,
         RATOON_DEPTH_MAX},
    };
    (void)field;
    return ratoon__read_fields(f, n, "auto_retry", fields, sizeof fields / sizeof fields[0], out);
}

/* Every ${name} is a parameter, and no secret. */
static bool check_scope(ratoon__file *f, const ratoon__node *n, const char *scope)
{
    for (const char *at = strstr(scope, "${"); at != NULL; at = strstr(at, "${")) {
        const char *name = at + 2;
        const char *end = strchr(name, '}');
        if (end == NULL) {
            return ratoon__bad(f, n, "found \"${\" without \"}\", expected ${PARAMETER}");
        }
        const size_t size = (size_t)(end - name);
        const ratoon__param_def *def = NULL;
        for (size_t i = 0; i < f->p->params_count; i++) {
            const ratoon__param_def *one = &f->p->params[i];
            if (strlen(one->name) == size && memcmp(one->name, name, size) == 0) {
                def = one;
            }
        }
        if (def == NULL || def->secret) {
            return ratoon__bad(f, n, "found %s, expected in ${…} the name of a parameter%s",
                               ratoon__shown(f, n), def != NULL ? " that is not secret" : "");
        }
        at = end;
    }
    return true;
}

/* A scope names what is held, so it is a name once its parameters are filled in. */
static bool read_scope(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                       void *out)
{
    return ratoon__read_name(f, n, field, out) && check_scope(f, n, *(const char **)out);
}

bool ratoon__read_policy(ratoon__file *f, const ratoon__node *n)
{
    static const ratoon__field fields[] = {
        {"scope", read_scope, offsetof(ratoon_pipeline, scope), false, 0, 0},
        {"max_depth", ratoon__read_u32, offsetof(ratoon_pipeline, max_depth), false, 1,
         RATOON_DEPTH_MAX},
        {"max_active_branches", ratoon__read_u32, offsetof(ratoon_pipeline, max_active_branches),
         false, 1, 65535},
        {"resume_on_failure", ratoon__read_bool, offsetof(ratoon_pipeline, resume_on_failure),
         false, 0, 0},
        {"cascade", read_cascade, offsetof(ratoon_pipeline, cascade), false, 0, 0},
        {"auto_retry", read_auto_retry, 0, false, 0, 0},
        {"timeout", ratoon__read_duration, offsetof(ratoon_pipeline, timeout_ms), false, 0, 0},
    };
    f->p->max_active_branches = 1;
    f->p->auto_retry_attempts = 3;
    return n == NULL ||
           ratoon__read_fields(f, n, "the policy", fields, sizeof fields / sizeof fields[0], f->p);
}
