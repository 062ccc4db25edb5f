/* Classes of failures (A01): the stage's own rules in their order, then the default ones. */
#include "log/classify.h"

#include "core/pipeline.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    TEXT_MAX = 64 << 10, /* of a text, its end is looked at */
    MATCH_LIMIT = 200000,
    DEPTH_LIMIT = 2000,
    HEAP_LIMIT_KIB = 4096,
    CACHE_MAX = 128,              /* compiled patterns that are kept */
    EXIT_TEMPFAIL = 75,           /* sysexits.h: EX_TEMPFAIL */
    EXIT_TIMEOUT = 124,           /* of timeout(1) */
    EXIT_SIGKILL = 128 + SIGKILL, /* what a shell makes of it */
};

/* ---- patterns ---- */

/* A definition has no place for what its patterns compile to, so they are kept here by their text.
 * One lock for all: matching is bounded, and failures are rare. */
static struct {
    pthread_mutex_t lock;
    uint64_t clock;
    struct {
        char *pattern;
        pcre2_code *code;
        uint64_t used;
    } items[CACHE_MAX];
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pcre2_code *compile(const char *pattern, int *error, PCRE2_SIZE *offset)
{
    /* Error text is what programs print: any bytes, in lines. */
    const uint32_t options =
        PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    return pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, error, offset, NULL);
}

ratoon_status ratoon__pattern_check(const char *pattern, char message[256], size_t *offset)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    if (strlen(pattern) > RATOON__PATTERN_MAX) {
        *offset = RATOON__PATTERN_MAX;
        memcpy(message, "too long", sizeof "too long");
        return RATOON_ERR_PIPELINE_INVALID;
    }
    pcre2_code *code = compile(pattern, &error, &at);
    if (code != NULL) {
        pcre2_code_free(code);
        return RATOON_OK;
    }
    if (error == PCRE2_ERROR_HEAP_FAILED) {
        return RATOON_ERR_NO_MEMORY;
    }
    *offset = at;
    pcre2_get_error_message(error, (PCRE2_UCHAR *)message, 256);
    return RATOON_ERR_PIPELINE_INVALID;
}

/* With the lock held. NULL: it does not compile, or no memory. */
static const pcre2_code *compiled(const char *pattern)
{
    size_t oldest = 0;
    for (size_t i = 0; i < CACHE_MAX; i++) {
        if (cache.items[i].pattern != NULL && strcmp(cache.items[i].pattern, pattern) == 0) {
            cache.items[i].used = ++cache.clock;
            return cache.items[i].code;
        }
        if (cache.items[i].used < cache.items[oldest].used) {
            oldest = i;
        }
    }
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *code = compile(pattern, &error, &offset);
    char *copy = code != NULL ? strdup(pattern) : NULL;
    if (copy == NULL) {
        pcre2_code_free(code);
        return NULL;
    }
    free(cache.items[oldest].pattern);
    pcre2_code_free(cache.items[oldest].code);
    cache.items[oldest].pattern = copy;
    cache.items[oldest].code = code;
    cache.items[oldest].used = ++cache.clock;
    return code;
}

static bool matches(const char *pattern, const char *text, size_t size)
{
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    int result = PCRE2_ERROR_NOMATCH;
    if (context != NULL && data != NULL) {
        pcre2_set_match_limit(context, MATCH_LIMIT);
        pcre2_set_depth_limit(context, DEPTH_LIMIT);
        pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
        pthread_mutex_lock(&cache.lock);
        const pcre2_code *code = compiled(pattern);
        if (code != NULL) {
            result = pcre2_match(code, (PCRE2_SPTR)text, size, 0, 0, data, context);
        }
        pthread_mutex_unlock(&cache.lock);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return result >= 0; /* a limit that was reached is no match */
}

/* ---- rules ---- */

typedef struct default_rule {
    const char *pattern;
    bool killed_only; /* holds only for what SIGKILL ended */
    ratoon_class error_class;
} default_rule;

/* In this order: "connection timed out" can help itself, and so can more memory after a time-out
 * that running out of it caused. SIGKILL alone doesn't say who sent it. */
static const default_rule default_rules[] = {
    {"CUDA out of memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|OutOfMemoryError"
     "|\\bMemoryError\\b|std::bad_alloc|Cannot allocate memory"
     "|Out of memory: Kill|Killed process \\d+|\\boom[-_]kill",
     false, RATOON_CLASS_OOM},
    {"(?i)\\boom\\b|out of memory", true, RATOON_CLASS_OOM},
    {"(?i)connection (?:was )?(?:refused|reset|aborted|timed out)|connect(?:ion)? timed? ?out"
     "|\\bE(?:CONNREFUSED|CONNRESET|CONNABORTED|TIMEDOUT|AI_AGAIN|HOSTUNREACH|NETUNREACH)\\b"
     "|temporary failure in name resolution|network is unreachable|no route to host"
     "|too many requests|service (?:temporarily )?unavailable"
     "|\\b(?:http|status|code|error|response)\\b[^\\n]{0,24}\\b(?:429|503)\\b",
     false, RATOON_CLASS_TRANSIENT},
    {"(?i)\\btimed[ -]?out\\b|\\btime-?out\\b|TimeoutE|TimeoutExpired|deadline exceeded", false,
     RATOON_CLASS_TIMEOUT},
};

static bool rule_holds(const ratoon_error_rule *rule, int exit_code, int signal, const char *text,
                       size_t size)
{
    return (rule->exit_code < 0 || rule->exit_code == exit_code) &&
           (rule->signal < 0 || rule->signal == signal) &&
           (rule->match == NULL || matches(rule->match, text, size));
}

static ratoon_class classify_by_default(int exit_code, int signal, const char *text, size_t size)
{
    const bool killed = signal == SIGKILL || exit_code == EXIT_SIGKILL;
    if (exit_code == EXIT_TEMPFAIL) {
        return RATOON_CLASS_TRANSIENT;
    }
    for (size_t i = 0; size > 0 && i < sizeof default_rules / sizeof default_rules[0]; i++) {
        if ((killed || !default_rules[i].killed_only) &&
            matches(default_rules[i].pattern, text, size)) {
            return default_rules[i].error_class;
        }
    }
    if (exit_code == EXIT_TIMEOUT) {
        return RATOON_CLASS_TIMEOUT;
    }
    return exit_code > 0 || signal > 0 ? RATOON_CLASS_EXECUTION : RATOON_CLASS_UNKNOWN;
}

ratoon_class ratoon_failure_classify(const ratoon_pipeline *pipeline, uint32_t stage, int exit_code,
                                     int signal, const char *text, size_t size)
{
    if (text == NULL) {
        text = "";
        size = 0;
    }
    if (size > TEXT_MAX) {
        text += size - TEXT_MAX;
        size = TEXT_MAX;
    }
    if (pipeline != NULL && stage < pipeline->stages_count) {
        const ratoon_stage_def *def = &pipeline->stages[stage].pub;
        for (size_t i = 0; i < def->errors_count; i++) {
            if (rule_holds(&def->errors[i], exit_code, signal, text, size)) {
                return def->errors[i].error_class;
            }
        }
    }
    return classify_by_default(exit_code, signal, text, size);
}
