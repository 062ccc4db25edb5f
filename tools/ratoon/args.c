/* The command line: global options on either side of the command, then the command's own. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_FIRST 256 /* values of long options begin here, above every letter */
#define OPTIONS_MAX 64   /* of one command, with the global ones */

typedef struct given {
    const command_option *option;
    const char *value;
} given;

struct args {
    const command *command;
    char **argv;   /* a copy of the pointers: getopt_long() reorders them */
    char **values; /* positional arguments, in argv */
    size_t values_count;
    given *given;
    size_t given_count;
};

/* Both lists in one, with the tables getopt_long() wants. */
typedef struct option_set {
    const command_option *options[OPTIONS_MAX];
    size_t count;
    struct option longs[OPTIONS_MAX + 1];
    char letters[2 * OPTIONS_MAX + 4];
} option_set;

static void set_add(option_set *set, const command_option *list)
{
    for (; list != NULL && list->name != NULL && set->count < OPTIONS_MAX; list++) {
        const size_t i = set->count++;
        set->options[i] = list;
        set->longs[i] = (struct option){
            .name = list->name,
            .has_arg = list->argument != NULL ? required_argument : no_argument,
            .val = OPTION_FIRST + (int)i,
        };
        if (list->letter != 0) {
            const size_t used = strlen(set->letters);
            set->letters[used] = list->letter;
            set->letters[used + 1] = list->argument != NULL ? ':' : '\0';
        }
    }
}

static const command_option *set_find(const option_set *set, int value)
{
    if (value >= OPTION_FIRST) {
        return set->options[value - OPTION_FIRST];
    }
    for (size_t i = 0; i < set->count; i++) {
        if (set->options[i]->letter == value) {
            return set->options[i];
        }
    }
    return NULL;
}

const command *command_find(const char *name)
{
    for (const command *c = commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

void command_arity(const command *c, size_t *least, size_t *most)
{
    *least = 0;
    *most = 0;
    const char *p = c->arguments;
    while (p != NULL && *p != '\0') {
        const size_t length = strcspn(p, " ");
        const bool optional = *p == '[';
        bool many = false;
        for (size_t i = 0; i + 3 <= length; i++) {
            many = many || memcmp(p + i, "…", 3) == 0;
        }
        *least += optional ? 0 : 1;
        *most = many || *most == SIZE_MAX ? SIZE_MAX : *most + 1;
        p += length;
        p += strspn(p, " ");
    }
}

static int unknown_option(const app *a, const option_set *set, const command *c, const char *typed)
{
    const size_t length = strcspn(typed, "=");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), typed);
    const char *bare = name + strspn(name, "-");
    const char *best = NULL;
    unsigned best_distance = 99;
    for (size_t i = 0; i < set->count; i++) {
        name_consider(bare, set->options[i]->name, &best, &best_distance);
    }
    char *hint = best != NULL ? text_format("did you mean --%s?", best)
                 : c != NULL  ? text_format("`ratoon %s --help` lists its options", c->name)
                              : text_format("`ratoon help` lists what there is");
    const int code =
        c != NULL ? app_error(a, RATOON_ERR_USAGE, hint, "%s has no option %s", c->name, name)
                  : app_error(a, RATOON_ERR_USAGE, hint, "there is no option %s", name);
    free(hint);
    return code;
}

static bool keep(args *out, const command_option *option, const char *value)
{
    given *grown = realloc(out->given, (out->given_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    out->given = grown;
    out->given[out->given_count++] = (given){.option = option, .value = value};
    return true;
}

/* Reads options from *argc/argv (argv[0] is skipped) up to the first other word, or with `permute`
 * everywhere. Gives an exit code or -1; *next: index of the first word left. */
static int read_options(app *a, const option_set *set, const command *c, int argc, char **argv,
                        bool permute, args *out, int *next)
{
    char letters[sizeof set->letters + 2];
    snprintf(letters, sizeof letters, "%s:%s", permute ? "" : "+", set->letters);
    opterr = 0;
    optind = 0; /* start anew, with this argv */
    for (;;) {
        const int at = optind == 0 ? 1 : optind;
        const int value = getopt_long(argc, argv, letters, set->longs, NULL);
        if (value == -1) {
            break;
        }
        const char *typed = argv[optind > at ? optind - 1 : at];
        if (value == ':') {
            const command_option *option = set_find(set, optopt);
            return app_error(a, RATOON_ERR_USAGE, NULL, "--%s wants an argument: %s", option->name,
                             option->argument);
        }
        if (value == '?') {
            const command_option *option = optopt != 0 ? set_find(set, optopt) : NULL;
            if (option != NULL) {
                return app_error(a, RATOON_ERR_USAGE, NULL, "--%s takes no argument", option->name);
            }
            if (optopt != 0 && strncmp(typed, "--", 2) != 0) {
                const char letter[] = {'-', (char)optopt, '\0'};
                typed = letter;
                return unknown_option(a, set, c, typed);
            }
            return unknown_option(a, set, c, typed);
        }
        const command_option *option = set_find(set, value);
        if (!option->repeatable && args_has(out, option->name) && option->argument != NULL &&
            strcmp(args_get(out, option->name), optarg) != 0) {
            return app_error(a, RATOON_ERR_USAGE, NULL, "--%s was given twice, with %s and %s",
                             option->name, args_get(out, option->name), optarg);
        }
        if (!keep(out, option, option->argument != NULL ? optarg : NULL)) {
            return app_no_memory(a);
        }
    }
    *next = optind;
    return -1;
}

static int read_globals(app *a, const args *out)
{
    a->json = a->json || args_has(out, "json");
    a->quiet = args_has(out, "quiet");
    a->store_option = args_get(out, "store");
    const char *color = args_get(out, "color");
    if (color != NULL) {
        if (strcmp(color, "always") == 0) {
            a->color = APP_COLOR_ALWAYS;
        } else if (strcmp(color, "never") == 0) {
            a->color = APP_COLOR_NEVER;
        } else if (strcmp(color, "auto") != 0) {
            return app_error(a, RATOON_ERR_USAGE, NULL,
                             "--color is auto, always or never, not \"%s\"", color);
        }
    }
    if (a->store_option != NULL && a->store_option[0] == '\0') {
        return app_error(a, RATOON_ERR_USAGE, NULL, "--store wants the path of a folder");
    }
    const char *wait = args_get(out, "wait");
    uint64_t wait_us = 0;
    if (wait != NULL) {
        if (!text_parse_duration(wait, &wait_us) || wait_us / 1000 > UINT32_MAX) {
            return app_error(a, RATOON_ERR_USAGE, NULL, "--wait wants seconds, not \"%s\"", wait);
        }
        a->wait_ms = (uint32_t)(wait_us / 1000);
    }
    return -1;
}

static int check_arity(const app *a, const args *out)
{
    const command *c = out->command;
    size_t least = 0, most = 0;
    command_arity(c, &least, &most);
    if (out->values_count >= least && out->values_count <= most) {
        return -1;
    }
    char *hint = text_format("usage: ratoon %s%s%s%s", c->name,
                             c->options != NULL && c->options->name != NULL ? " [OPTIONS]" : "",
                             *c->arguments != '\0' ? " " : "", c->arguments);
    int code;
    if (out->values_count > most) {
        code = app_error(a, RATOON_ERR_USAGE, hint, "%s does not take \"%s\"", c->name,
                         out->values[most]);
    } else {
        const char *missing = c->arguments;
        for (size_t i = 0; i < out->values_count; i++) {
            missing += strcspn(missing, " ");
            missing += strspn(missing, " ");
        }
        code = app_error(a, RATOON_ERR_USAGE, hint, "%s wants %.*s", c->name,
                         (int)strcspn(missing, " "), missing);
    }
    free(hint);
    return code;
}

/* Errors before the options are read still want to know whether --json was given. */
static bool json_asked_for(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}

static int read_all(app *a, int argc, args *out)
{
    option_set *set = calloc(1, sizeof *set);
    if (set == NULL) {
        return app_no_memory(a);
    }
    set_add(set, global_options);
    int next = 1;
    int code = read_options(a, set, NULL, argc, out->argv, false, out, &next);
    if (code < 0 && next >= argc) {
        const bool help = args_has(out, "help");
        const char *name = args_has(out, "version") ? "version" : "help";
        out->command = command_find(name);
        if (!help && !args_has(out, "version")) {
            help_overview(stderr);
            code = app_error(a, RATOON_ERR_USAGE, NULL, "which command?");
        }
        free(set);
        return code < 0 ? read_globals(a, out) : code;
    }
    if (code < 0) {
        const char *name = out->argv[next];
        out->command = command_find(name);
        if (out->command == NULL) {
            const char *near = command_nearest(name);
            char *hint = near != NULL ? text_format("did you mean %s?", near)
                                      : text_format("`ratoon help` lists the commands");
            code = app_error(a, RATOON_ERR_USAGE, hint, "there is no command \"%s\"", name);
            free(hint);
        }
    }
    if (code < 0) {
        set_add(set, out->command->options);
        char **rest = out->argv + next;
        const int count = argc - next;
        /* What follows `--` in `shell RUN STAGE -- COMMAND…` is kept by getopt_long() as it is. */
        code = read_options(a, set, out->command, count, rest, true, out, &next);
        out->values = rest + next;
        out->values_count = (size_t)(count - next);
    }
    free(set);
    if (code < 0) {
        code = read_globals(a, out);
    }
    if (code < 0 && !args_has(out, "help")) {
        code = check_arity(a, out);
    }
    return code;
}

int args_read(app *a, int argc, char **argv, args **out)
{
    a->json = json_asked_for(argc, argv);
    args *read = calloc(1, sizeof *read);
    char **copy = calloc((size_t)argc + 1, sizeof *copy);
    if (read == NULL || copy == NULL) {
        free(read);
        free(copy);
        return app_no_memory(a);
    }
    memcpy(copy, argv, (size_t)argc * sizeof *copy);
    read->argv = copy;
    const int code = read_all(a, argc, read);
    if (code >= 0) {
        args_free(read);
        return code;
    }
    *out = read;
    return -1;
}

void args_free(args *a)
{
    if (a != NULL) {
        free(a->given);
        free(a->argv);
        free(a);
    }
}

const command *args_command(const args *a)
{
    return a->command;
}

size_t args_count(const args *a)
{
    return a->values_count;
}

const char *args_at(const args *a, size_t i)
{
    return i < a->values_count ? a->values[i] : NULL;
}

bool args_has(const args *a, const char *option)
{
    return args_times(a, option) > 0;
}

const char *args_get(const args *a, const char *option)
{
    const char *value = NULL;
    for (size_t i = 0; i < a->given_count; i++) {
        if (strcmp(a->given[i].option->name, option) == 0) {
            value = a->given[i].value;
        }
    }
    return value;
}

const char *args_nth(const args *a, const char *option, size_t n)
{
    for (size_t i = 0; i < a->given_count; i++) {
        if (strcmp(a->given[i].option->name, option) == 0 && n-- == 0) {
            return a->given[i].value;
        }
    }
    return NULL;
}

size_t args_times(const args *a, const char *option)
{
    size_t times = 0;
    for (size_t i = 0; i < a->given_count; i++) {
        times += strcmp(a->given[i].option->name, option) == 0;
    }
    return times;
}

bool args_given(const args *a, size_t i, const char **option, const char **value)
{
    if (i >= a->given_count) {
        return false;
    }
    *option = a->given[i].option->name;
    *value = a->given[i].value;
    return true;
}

bool args_number(app *a, const args *in, const char *option, uint64_t least, uint64_t most,
                 uint64_t *out)
{
    const char *text = args_get(in, option);
    if (text == NULL) {
        return true;
    }
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    const bool digits = text[0] >= '0' && text[0] <= '9';
    if (!digits || *end != '\0' || errno != 0 || value < least || value > most) {
        app_error(a, RATOON_ERR_USAGE, NULL,
                  "--%s wants a whole number from %llu to %llu, not \"%s\"", option,
                  (unsigned long long)least, (unsigned long long)most, text);
        return false;
    }
    *out = value;
    return true;
}

bool args_pairs(app *a, const args *in, const char *option, ratoon_pair **out, size_t *count)
{
    const size_t times = args_times(in, option);
    ratoon_pair *pairs = calloc(times + 1, sizeof *pairs);
    if (pairs == NULL) {
        app_no_memory(a);
        return false;
    }
    for (size_t i = 0; i < times; i++) {
        const char *text = args_nth(in, option, i);
        const char *equals = strchr(text, '=');
        if (equals == NULL || equals == text) {
            app_error(a, RATOON_ERR_USAGE, NULL, "--%s wants NAME=VALUE, not \"%s\"", option, text);
            pairs_free(pairs, i);
            return false;
        }
        pairs[i].name = text_format("%.*s", (int)(equals - text), text);
        pairs[i].value = text_copy(equals + 1);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(pairs[i].name, pairs[j].name) == 0) {
                app_error(a, RATOON_ERR_USAGE, NULL, "--%s %s was given twice", option,
                          pairs[i].name);
                pairs_free(pairs, i + 1);
                return false;
            }
        }
    }
    *out = pairs;
    *count = times;
    return true;
}

void pairs_free(ratoon_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)pairs[i].name);
        free((char *)(uintptr_t)pairs[i].value);
    }
    free(pairs);
}
