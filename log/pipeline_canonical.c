/* The canonical form of a definition: JSON with sorted keys and without spaces, in the words of a
 * pipeline file, with all defaults filled in. Everything that affects execution is in it; what is
 * not set (a time-out, a folder) is left out. Reading it gives the same form again. */
#include "core/number.h"
#include "log/pipeline_file.h"
#include "log/pipeline_read.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* JSON that YAML reads alike: YAML ends lines at U+0085, U+2028 and U+2029, takes U+FEFF for a byte
 * order mark, and refuses other control characters and U+FFFE, U+FFFF, unless they are escaped. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff || c == '"' || c == '\\';
}

/* The character at s, which is valid UTF-8, and its length. */
static uint32_t character(const char *s, size_t *size)
{
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) {
        *size = 1;
        return u[0];
    }
    *size = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    uint32_t c = u[0] & (0x7fu >> *size);
    for (size_t i = 1; i < *size; i++) {
        c = c << 6 | (u[i] & 0x3fu);
    }
    return c;
}

static void write_text(ratoon__buf *b, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    ratoon__buf_str(b, "\"");
    while (*s != '\0') {
        size_t size = 0;
        const uint32_t c = character(s, &size);
        if (c == '"' || c == '\\') {
            const char escaped[2] = {'\\', (char)c};
            ratoon__buf_add(b, escaped, sizeof escaped);
        } else if (needs_escape(c)) {
            const char escaped[6] = {
                '\\', 'u', hex[c >> 12], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15]};
            ratoon__buf_add(b, escaped, sizeof escaped);
        } else {
            ratoon__buf_add(b, s, size);
        }
        s += size;
    }
    ratoon__buf_str(b, "\"");
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_value(ratoon__buf *b, const json_t *value);

static void write_object(ratoon__buf *b, const json_t *object)
{
    const size_t count = json_object_size(object);
    const char **keys = malloc((count + 1) * sizeof *keys);
    if (keys == NULL) {
        b->failed = true;
        return;
    }
    const char *key;
    json_t *value;
    size_t i = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        keys[i++] = key;
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    ratoon__buf_str(b, "{");
    for (i = 0; i < count; i++) {
        ratoon__buf_str(b, i > 0 ? "," : "");
        write_text(b, keys[i]);
        ratoon__buf_str(b, ":");
        write_value(b, json_object_get(object, keys[i]));
    }
    ratoon__buf_str(b, "}");
    free(keys);
}

static void write_value(ratoon__buf *b, const json_t *value)
{
    char number[RATOON__NUMBER_TEXT];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        write_object(b, value);
        break;
    case JSON_ARRAY:
        ratoon__buf_str(b, "[");
        for (size_t i = 0; i < json_array_size(value); i++) {
            ratoon__buf_str(b, i > 0 ? "," : "");
            write_value(b, json_array_get(value, i));
        }
        ratoon__buf_str(b, "]");
        break;
    case JSON_STRING:
        write_text(b, json_string_value(value));
        break;
    case JSON_INTEGER:
        ratoon__int_format(json_integer_value(value), number);
        ratoon__buf_str(b, number);
        break;
    case JSON_REAL:
        ratoon__number_format(json_real_value(value), number);
        ratoon__buf_str(b, number);
        break;
    default:
        ratoon__buf_str(b, json_is_true(value) ? "true" : "false");
        break;
    }
}

/* ---- building; jansson refuses NULL values, so a failure shows as one at the end ---- */

typedef struct object {
    json_t *json;
    bool failed;
} object;

static object new_object(void)
{
    json_t *json = json_object();
    return (object){json, json == NULL};
}

static void set(object *o, const char *key, json_t *value)
{
    o->failed |= json_object_set_new(o->json, key, value) != 0;
}

static void set_text(object *o, const char *key, const char *text)
{
    if (text != NULL) {
        set(o, key, json_string(text));
    }
}

static void set_whole(object *o, const char *key, uint64_t value)
{
    set(o, key, json_integer((json_int_t)value));
}

static void set_duration(object *o, const char *key, uint64_t ms)
{
    char text[RATOON__DURATION_TEXT];
    ratoon__duration_format(ms, text);
    set(o, key, json_string(text));
}

static void set_time_limit(object *o, const char *key, uint64_t ms)
{
    if (ms > 0) {
        set_duration(o, key, ms);
    }
}

static void set_bound(object *o, const char *key, bool has, double bound)
{
    if (has) {
        set(o, key, json_real(bound));
    }
}

static json_t *close_object(object *o)
{
    if (o->failed) {
        json_decref(o->json);
        return NULL;
    }
    return o->json;
}

static void set_texts(object *o, const char *key, const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        o->failed |= json_array_append_new(list, json_string(texts[i])) != 0;
    }
    set(o, key, list);
}

static json_t *param_json(const ratoon__param_def *def)
{
    static const char *const types[] = {
        [RATOON__PARAM_STRING] = "string",
        [RATOON__PARAM_INT] = "int",
        [RATOON__PARAM_NUMBER] = "number",
        [RATOON__PARAM_BOOL] = "bool",
    };
    object o = new_object();
    set_text(&o, "type", types[def->type]);
    set_text(&o, "default", def->default_text);
    set_bound(&o, "min", def->has_min, def->min);
    set_bound(&o, "max", def->has_max, def->max);
    if (def->choices_count > 0) {
        set_texts(&o, "choices", def->choices, def->choices_count);
    }
    set(&o, "power_of_two", json_boolean(def->power_of_two));
    set(&o, "secret", json_boolean(def->secret));
    return close_object(&o);
}

static json_t *params_json(const ratoon_pipeline *p)
{
    object o = new_object();
    for (size_t i = 0; i < p->params_count; i++) {
        set(&o, p->params[i].name, param_json(&p->params[i]));
    }
    return close_object(&o);
}

static json_t *policy_json(const ratoon_pipeline *p)
{
    object o = new_object(), retry = new_object();
    set_text(&o, "scope", p->scope);
    if (p->max_depth > 0) {
        set_whole(&o, "max_depth", p->max_depth);
    }
    set_whole(&o, "max_active_branches", p->max_active_branches);
    set(&o, "resume_on_failure", json_boolean(p->resume_on_failure));
    set_text(&o, "cascade", p->cascade == RATOON__CASCADE_AUTO ? "auto" : "none");
    set(&retry, "enabled", json_boolean(p->auto_retry));
    set_whole(&retry, "attempts", p->auto_retry_attempts);
    set(&o, "auto_retry", close_object(&retry));
    set_time_limit(&o, "timeout", p->timeout_ms);
    return close_object(&o);
}

static json_t *retry_json(const ratoon_retry_policy *retry)
{
    object o = new_object();
    set_whole(&o, "attempts", retry->attempts);
    set_duration(&o, "initial", retry->initial_ms);
    set(&o, "factor", json_real(retry->factor));
    set_duration(&o, "max", retry->max_ms);
    set(&o, "jitter", json_real(retry->jitter));
    const char *classes[32];
    size_t count = 0;
#define X(name, value)                                                                             \
    if ((retry->classes >> (value)) & 1) {                                                         \
        classes[count++] = #name;                                                                  \
    }
    RATOON_CLASS_LIST(X)
#undef X
    set_texts(&o, "classes", classes, count);
    return close_object(&o);
}

static json_t *adjust_json(const ratoon__adjust *adjust)
{
    static const char *const ops[] = {
        [RATOON__ADJUST_HALVE] = "halve",
        [RATOON__ADJUST_DOUBLE] = "double",
        [RATOON__ADJUST_ADD] = "add",
        [RATOON__ADJUST_SET] = "set",
    };
    object o = new_object();
    set_text(&o, "op", ops[adjust->op]);
    set_bound(&o, "by", adjust->op == RATOON__ADJUST_ADD, adjust->by);
    set_text(&o, "value", adjust->value_text);
    set_bound(&o, "min", adjust->has_min, adjust->min);
    set_bound(&o, "max", adjust->has_max, adjust->max);
    return close_object(&o);
}

static json_t *adjusts_json(const ratoon_pipeline *p, const ratoon__stage_def *stage)
{
    object o = new_object();
    for (size_t i = 0; i < stage->adjusts_count; i++) {
        const ratoon__adjust *adjust = &stage->adjusts[i];
        const char *class_name = ratoon_class_name(adjust->error_class);
        if (json_object_get(o.json, class_name) == NULL) {
            set(&o, class_name, json_object());
        }
        o.failed |= json_object_set_new(json_object_get(o.json, class_name),
                                        p->params[adjust->param].name, adjust_json(adjust)) != 0;
    }
    return close_object(&o);
}

static json_t *errors_json(const ratoon_stage_def *stage)
{
    json_t *list = json_array();
    for (size_t i = 0; i < stage->errors_count; i++) {
        const ratoon_error_rule *rule = &stage->errors[i];
        object o = new_object();
        set_text(&o, "match", rule->match);
        if (rule->exit_code >= 0) {
            set_whole(&o, "exit", (uint64_t)rule->exit_code);
        }
        if (rule->signal >= 0) {
            set_whole(&o, "signal", (uint64_t)rule->signal);
        }
        set_text(&o, "class", ratoon_class_name(rule->error_class));
        if (json_array_append_new(list, close_object(&o)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void set_stage_texts(object *o, const ratoon_pipeline *p, const ratoon_stage_def *stage)
{
    if (stage->shell) {
        set_text(o, "run", stage->argv[0]);
    } else {
        set_texts(o, "run", stage->argv, stage->argv_count);
    }
    json_t *needs = json_array();
    for (size_t i = 0; i < stage->needs_count; i++) {
        const char *name = p->stages[stage->needs[i]].pub.name;
        o->failed |= json_array_append_new(needs, json_string(name)) != 0;
    }
    set(o, "needs", needs);
    set_texts(o, "requires", stage->requires_keys, stage->requires_count);
    set_texts(o, "produces", stage->produces_keys, stage->produces_count);
    if (stage->validates >= 0) {
        set_text(o, "validates", p->stages[stage->validates].pub.name);
    }
    object env = new_object();
    for (size_t i = 0; i < stage->env_count; i++) {
        set(&env, stage->env[i].name, json_string(stage->env[i].value));
    }
    set(o, "env", close_object(&env));
}

static json_t *stage_json(const ratoon_pipeline *p, const ratoon__stage_def *def)
{
    const ratoon_stage_def *stage = &def->pub;
    object o = new_object();
    set_text(&o, "name", stage->name);
    set_stage_texts(&o, p, stage);
    set(&o, "shell", json_boolean(stage->shell));
    set(&o, "setup", json_boolean(stage->setup));
    set(&o, "commits", json_boolean(stage->commits));
    set(&o, "allow_failure", json_boolean(stage->allow_failure));
    set_text(&o, "foreach", stage->foreach_key);
    set_whole(&o, "jobs", stage->jobs);
    set_time_limit(&o, "timeout", stage->timeout_ms);
    set_time_limit(&o, "heartbeat", stage->heartbeat_ms);
    set_duration(&o, "grace", stage->grace_ms);
    set(&o, "retry", retry_json(&stage->retry));
    set(&o, "adjust", adjusts_json(p, def));
    set(&o, "errors", errors_json(stage));
    set_text(&o, "cwd", stage->cwd);
    return close_object(&o);
}

static json_t *pipeline_json(const ratoon_pipeline *p)
{
    object o = new_object();
    set_text(&o, "pipeline", p->name);
    set_whole(&o, "version", p->version);
    set(&o, "params", params_json(p));
    set(&o, "policy", policy_json(p));
    if (p->on_end_count > 0) {
        set_texts(&o, "on_end", p->on_end, p->on_end_count);
    }
    json_t *stages = json_array();
    for (size_t i = 0; i < p->stages_count; i++) {
        o.failed |= json_array_append_new(stages, stage_json(p, &p->stages[i])) != 0;
    }
    set(&o, "stages", stages);
    return close_object(&o);
}

ratoon_status ratoon__pipeline_canonical_make(ratoon_pipeline *p, ratoon_error *error)
{
    ratoon__buf text = {0};
    json_t *json = pipeline_json(p);
    char *canonical = NULL;
    if (json != NULL) {
        write_value(&text, json);
        canonical = text.failed ? NULL : ratoon__arena_alloc(&p->arena, text.size + 1);
    }
    if (canonical != NULL) {
        memcpy(canonical, text.data, text.size);
        p->canonical = canonical;
        p->canonical_size = text.size;
    }
    json_decref(json);
    ratoon__buf_free(&text);
    return canonical != NULL ? RATOON_OK
                             : ratoon__fail(error, RATOON_ERR_NO_MEMORY,
                                            "no memory for the canonical form of a pipeline");
}
