/* Stages of a pipeline file. */
#include "log/classify.h"
#include "log/pipeline_read.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A stage as it is read; what depends on other keys or stages is looked at when all is known. */
typedef struct stage_draft {
    ratoon__stage_def def;
    const ratoon__node *name, *run, *needs, *validates, *foreach, *requires, *produces, *retry,
        *adjust, *errors, *env;
} stage_draft;

/* Names of stages, sorted, with their places. */
typedef struct stage_name {
    const char *name;
    uint32_t index;
} stage_name;
typedef struct stage_names {
    stage_name *items;
    size_t count;
} stage_names;

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const stage_name *)a)->name, ((const stage_name *)b)->name);
}

/* The place of a stage that a node names, or -1 and why. */
static int64_t find_stage(ratoon__file *f, const stage_names *names, const ratoon__node *n)
{
    if (!ratoon__expect_text(f, n, "the name of a stage")) {
        return -1;
    }
    const stage_name wanted = {n->text, 0};
    const stage_name *found =
        bsearch(&wanted, names->items, names->count, sizeof wanted, compare_names);
    if (found == NULL) {
        ratoon__bad(f, n, "found %s, expected the name of a stage of this pipeline",
                    ratoon__shown(f, n));
        return -1;
    }
    return found->index;
}

/* Stages name folders of captured output and boundaries such as "before:STAGE". */
static bool read_stage_name(ratoon__file *f, stage_draft *d)
{
    const ratoon__node *n = d->name;
    if (!ratoon__check_name(f, n, "name")) {
        return false;
    }
    if (strpbrk(n->text, "/:") != NULL || strcmp(n->text, ".") == 0 || strcmp(n->text, "..") == 0 ||
        n->text[0] == '-') {
        return ratoon__bad(f, n,
                           "found %s, expected a stage's name without \"/\" and \":\", not \".\" "
                           "or \"..\", and not beginning with \"-\"",
                           ratoon__shown(f, n));
    }
    d->def.pub.name = ratoon__keep_text(f, n->text);
    return d->def.pub.name != NULL;
}

static bool read_run(ratoon__file *f, const ratoon__node *n, ratoon_stage_def *def)
{
    if (def->shell) {
        if (n->kind != RATOON__NODE_SCALAR || n->size == 0 || ratoon__is_null(n)) {
            return ratoon__bad(f, n, "found %s, expected text for the shell (shell: true)",
                               ratoon__shown(f, n));
        }
        const char **argv = ratoon__keep(f, 1, sizeof *argv);
        if (argv == NULL || (argv[0] = ratoon__keep_text(f, n->text)) == NULL) {
            return false;
        }
        def->argv = argv;
        def->argv_count = 1;
        return true;
    }
    if (n->kind == RATOON__NODE_SCALAR && !ratoon__is_null(n)) {
        return ratoon__bad(f, n,
                           "found %s, expected a list: the command and its arguments; plain "
                           "text needs \"shell: true\"",
                           ratoon__shown(f, n));
    }
    return ratoon__read_argv(f, n, &def->argv, &def->argv_count);
}

static bool read_classes(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                         void *out)
{
    uint32_t classes = 0;
    (void)field;
    if (!ratoon__expect(f, n, RATOON__NODE_LIST, "a list of error classes")) {
        return false;
    }
    for (const ratoon__node *one = n->first; one != NULL; one = one->next) {
        ratoon_class error_class = RATOON_CLASS_NONE;
        if (!ratoon__class_of(f, one, &error_class)) {
            return false;
        }
        classes |= 1u << error_class;
    }
    if (classes == 0) {
        return ratoon__bad(f, n, "found an empty list, expected one error class at least");
    }
    *(uint32_t *)out = classes;
    return true;
}

/* Without a policy there is one attempt; its other values are those that "retry: {attempts: N}"
 * gives. */
static bool read_retry(ratoon__file *f, const ratoon__node *n, ratoon_retry_policy *out)
{
    static const ratoon__field fields[] = {
        {"attempts", ratoon__read_u32, offsetof(ratoon_retry_policy, attempts), false, 1, 1000},
        {"initial", ratoon__read_duration, offsetof(ratoon_retry_policy, initial_ms), false, 0, 0},
        {"factor", ratoon__read_number, offsetof(ratoon_retry_policy, factor), false, 1, 1000},
        {"max", ratoon__read_duration, offsetof(ratoon_retry_policy, max_ms), false, 0, 0},
        {"jitter", ratoon__read_number, offsetof(ratoon_retry_policy, jitter), false, 0, 1},
        {"classes", read_classes, offsetof(ratoon_retry_policy, classes), false, 0, 0},
    };
    enum { MAX_MS = 60000 };
    *out = (ratoon_retry_policy){
        .attempts = 1,
        .initial_ms = 1000,
        .factor = 2,
        .max_ms = UINT64_MAX,
        .jitter = 0.2,
        .classes = 1u << RATOON_CLASS_TRANSIENT | 1u << RATOON_CLASS_TIMEOUT,
    };
    if (n != NULL &&
        !ratoon__read_fields(f, n, "retry", fields, sizeof fields / sizeof fields[0], out)) {
        return false;
    }
    if (out->max_ms == UINT64_MAX) {
        out->max_ms = out->initial_ms > MAX_MS ? out->initial_ms : MAX_MS;
    }
    return out->initial_ms <= out->max_ms ||
           ratoon__bad(f, n,
                       "found a \"max\" delay below the \"initial\" one, expected at least "
                       "that");
}

static bool read_pattern(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                         void *out)
{
    char message[256];
    size_t offset = 0;
    if (!ratoon__read_text(f, n, field, out)) {
        return false;
    }
    const ratoon_status status = ratoon__pattern_check(*(const char **)out, message, &offset);
    if (status == RATOON_ERR_NO_MEMORY) {
        return ratoon__bad_memory(f);
    }
    return status == RATOON_OK ||
           ratoon__bad(f, n,
                       "found a pattern with a mistake at its byte %u (%s), expected a "
                       "regular expression as Perl has them",
                       (uint32_t)offset + 1, message);
}

static bool read_signal(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                        void *out)
{
    if (n->kind == RATOON__NODE_SCALAR && n->text[0] >= 'A' && n->text[0] <= 'Z') {
        const char *name = strncmp(n->text, "SIG", 3) == 0 ? n->text + 3 : n->text;
        for (int i = 1; i < NSIG; i++) {
            const char *one = sigabbrev_np(i);
            if (one != NULL && strcmp(one, name) == 0) {
                *(int *)out = i;
                return true;
            }
        }
        return ratoon__bad(f, n, "found %s, expected a signal such as SIGKILL or 9",
                           ratoon__shown(f, n));
    }
    return ratoon__read_i32(f, n, field, out);
}

static bool read_errors(ratoon__file *f, const ratoon__node *n, ratoon_stage_def *def)
{
    static const ratoon__field fields[] = {
        {"match", read_pattern, offsetof(ratoon_error_rule, match), false, 0, 0},
        {"exit", ratoon__read_i32, offsetof(ratoon_error_rule, exit_code), false, 1, 255},
        {"signal", read_signal, offsetof(ratoon_error_rule, signal), false, 1, 64},
        {"class", ratoon__read_class, offsetof(ratoon_error_rule, error_class), true, 0, 0},
    };
    if (!ratoon__expect(f, n, RATOON__NODE_LIST, "a list of rules")) {
        return false;
    }
    ratoon_error_rule *rules = ratoon__keep(f, n->count, sizeof *rules);
    size_t count = 0;
    for (const ratoon__node *one = n->first; rules != NULL && one != NULL; one = one->next) {
        ratoon_error_rule *rule = &rules[count++];
        *rule = (ratoon_error_rule){.exit_code = -1, .signal = -1};
        if (!ratoon__read_fields(f, one, "a rule", fields, sizeof fields / sizeof fields[0],
                                 rule)) {
            return false;
        }
        if (rule->match == NULL && rule->exit_code < 0 && rule->signal < 0) {
            return ratoon__bad(f, one,
                               "found a rule without a condition, expected \"match\", "
                               "\"exit\" or \"signal\"");
        }
        if (rule->exit_code >= 0 && rule->signal >= 0) {
            return ratoon__bad(f, one,
                               "found \"exit\" and \"signal\" in one rule, expected one of "
                               "them: a command ends by one");
        }
    }
    def->errors = rules;
    def->errors_count = count;
    return rules != NULL;
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const ratoon_pair *)a)->name, ((const ratoon_pair *)b)->name);
}

static bool read_env(ratoon__file *f, const ratoon__node *n, ratoon_stage_def *def)
{
    if (!ratoon__expect(f, n, RATOON__NODE_MAP, "a mapping of environment variables")) {
        return false;
    }
    ratoon_pair *env = ratoon__keep(f, n->count, sizeof *env);
    size_t count = 0;
    for (const ratoon__node *key = n->first; env != NULL && key != NULL; key = key->next->next) {
        const ratoon__node *value = key->next;
        if (!ratoon__check_name(f, key, "the name of an environment variable")) {
            return false;
        }
        if (strchr(key->text, '=') != NULL) {
            return ratoon__bad(f, key,
                               "found %s, expected the name of an environment variable "
                               "without \"=\"",
                               ratoon__shown(f, key));
        }
        if (value->kind != RATOON__NODE_SCALAR) {
            return ratoon__bad(f, value,
                               "found %s, expected text, a number, true or false for the "
                               "environment",
                               ratoon__shown(f, value));
        }
        env[count].name = ratoon__keep_text(f, key->text);
        env[count].value = ratoon__keep_text(f, ratoon__is_null(value) ? "" : value->text);
        if (env[count].name == NULL || env[count].value == NULL) {
            return false;
        }
        count++;
    }
    if (env == NULL) {
        return false;
    }
    qsort(env, count, sizeof *env, compare_pairs);
    def->env = env;
    def->env_count = count;
    return true;
}

static int compare_indices(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static bool read_needs(ratoon__file *f, const stage_names *names, const stage_draft *d, uint32_t at,
                       ratoon_stage_def *def)
{
    const ratoon__node *n = d->needs;
    const size_t count = n != NULL ? n->count : at > 0;
    if (n != NULL && !ratoon__expect(f, n, RATOON__NODE_LIST, "a list of stages")) {
        return false;
    }
    uint32_t *needs = ratoon__keep(f, count, sizeof *needs);
    if (needs == NULL) {
        return false;
    }
    def->needs = needs;
    def->needs_count = count;
    if (n == NULL) {
        if (at > 0) {
            needs[0] = at - 1;
        }
        return true;
    }
    for (const ratoon__node *one = n->first; one != NULL; one = one->next) {
        const int64_t found = find_stage(f, names, one);
        if (found < 0) {
            return false;
        }
        *needs++ = (uint32_t)found;
    }
    bool failed = false;
    const ratoon__node *twice = ratoon__find_twice(n, &failed);
    if (failed || twice != NULL) {
        return failed ? ratoon__bad_memory(f)
                      : ratoon__bad(f, twice, "found %s a second time, expected each stage once",
                                    ratoon__shown(f, twice));
    }
    qsort((uint32_t *)(uintptr_t)def->needs, count, sizeof *needs, compare_indices);
    return true;
}

static bool read_keys_of(ratoon__file *f, const stage_draft *d, ratoon_stage_def *def)
{
    static const ratoon__field key = {.key = "foreach"};
    return (d->foreach == NULL || ratoon__read_name(f, d->foreach, &key, &def->foreach_key)) &&
           (d->requires == NULL ||
            ratoon__read_keys(f, d->requires, &def->requires_keys, &def->requires_count)) &&
           (d->produces == NULL ||
            ratoon__read_keys(f, d->produces, &def->produces_keys, &def->produces_count));
}

/* All of a stage but what refers to other stages. */
static bool read_stage(ratoon__file *f, const ratoon__node *n, stage_draft *d)
{
#define PUB(field) offsetof(stage_draft, def.pub.field)
    static const ratoon__field fields[] = {
        {"name", ratoon__read_node, offsetof(stage_draft, name), true, 0, 0},
        {"run", ratoon__read_node, offsetof(stage_draft, run), true, 0, 0},
        {"shell", ratoon__read_bool, PUB(shell), false, 0, 0},
        {"needs", ratoon__read_node, offsetof(stage_draft, needs), false, 0, 0},
        {"validates", ratoon__read_node, offsetof(stage_draft, validates), false, 0, 0},
        {"setup", ratoon__read_bool, PUB(setup), false, 0, 0},
        {"commits", ratoon__read_bool, PUB(commits), false, 0, 0},
        {"allow_failure", ratoon__read_bool, PUB(allow_failure), false, 0, 0},
        {"foreach", ratoon__read_node, offsetof(stage_draft, foreach), false, 0, 0},
        {"jobs", ratoon__read_u32, PUB(jobs), false, 1, 65535},
        {"requires", ratoon__read_node, offsetof(stage_draft, requires), false, 0, 0},
        {"produces", ratoon__read_node, offsetof(stage_draft, produces), false, 0, 0},
        {"timeout", ratoon__read_duration, PUB(timeout_ms), false, 0, 0},
        {"heartbeat", ratoon__read_duration, PUB(heartbeat_ms), false, 0, 0},
        {"grace", ratoon__read_duration, PUB(grace_ms), false, 0, 0},
        {"retry", ratoon__read_node, offsetof(stage_draft, retry), false, 0, 0},
        {"adjust", ratoon__read_node, offsetof(stage_draft, adjust), false, 0, 0},
        {"errors", ratoon__read_node, offsetof(stage_draft, errors), false, 0, 0},
        {"env", ratoon__read_node, offsetof(stage_draft, env), false, 0, 0},
        {"cwd", ratoon__read_text, PUB(cwd), false, 0, 0},
    };
#undef PUB
    enum { GRACE_MS = 10000 };
    ratoon_stage_def *def = &d->def.pub;
    def->jobs = 1;
    def->validates = -1;
    def->grace_ms = GRACE_MS;
    return ratoon__read_fields(f, n, "a stage", fields, sizeof fields / sizeof fields[0], d) &&
           read_stage_name(f, d) && read_run(f, d->run, def) && read_keys_of(f, d, def) &&
           read_retry(f, d->retry, &def->retry) &&
           (d->adjust == NULL || ratoon__read_adjusts(f, d->adjust, &d->def)) &&
           (d->errors == NULL || read_errors(f, d->errors, def)) &&
           (d->env == NULL || read_env(f, d->env, def));
}

static bool sort_names(ratoon__file *f, const stage_draft *drafts, size_t count, stage_names *out)
{
    out->items = ratoon__arena_alloc(f->nodes, count * sizeof *out->items);
    if (out->items == NULL) {
        return ratoon__bad_memory(f);
    }
    out->count = count;
    for (uint32_t i = 0; i < count; i++) {
        out->items[i] = (stage_name){drafts[i].def.pub.name, i};
    }
    qsort(out->items, count, sizeof *out->items, compare_names);
    return true;
}

bool ratoon__read_stages(ratoon__file *f, const ratoon__node *n, const ratoon__node *const **nodes)
{
    if (!ratoon__expect(f, n, RATOON__NODE_LIST, "a list of stages")) {
        return false;
    }
    if (n->count == 0) {
        return ratoon__bad(f, n, "found an empty list, expected one stage at least");
    }
    if (n->count > RATOON_STAGES_MAX) {
        return ratoon__bad_limit(f, n, "found %U stages, expected at most %u", (uint64_t)n->count,
                                 (uint32_t)RATOON_STAGES_MAX);
    }
    const ratoon__node **list = ratoon__arena_alloc(f->nodes, n->count * sizeof(ratoon__node *));
    stage_draft *drafts = ratoon__arena_alloc(f->nodes, n->count * sizeof *drafts);
    ratoon__stage_def *stages = ratoon__keep(f, n->count, sizeof *stages);
    if (list == NULL || drafts == NULL || stages == NULL) {
        return ratoon__bad_memory(f);
    }
    uint32_t count = 0;
    for (const ratoon__node *one = n->first; one != NULL; one = one->next, count++) {
        list[count] = one;
        if (!read_stage(f, one, &drafts[count])) {
            return false;
        }
    }
    stage_names names = {0};
    if (!sort_names(f, drafts, count, &names)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        stages[i] = drafts[i].def;
        if (!read_needs(f, &names, &drafts[i], i, &stages[i].pub)) {
            return false;
        }
        if (drafts[i].validates != NULL) {
            const int64_t found = find_stage(f, &names, drafts[i].validates);
            if (found < 0) {
                return false;
            }
            stages[i].pub.validates = (int32_t)found;
        }
    }
    f->p->stages = stages;
    f->p->stages_count = count;
    *nodes = list;
    return true;
}
