/* The table of commands as help, manual page and shell completions. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    int code;
    const char *meaning;
} exit_codes[] = {
    {0, "done (a degraded run too, with a warning)"},
    {1, "the run failed"},
    {2, "usage, or a bad file"},
    {3, "no such store or run"},
    {4, "refused by a rule"},
    {5, "the store is in use and its owner can't be reached"},
    {6, "the store is damaged or was tampered with"},
    {7, "input/output error, disk full, or the time is up"},
    {8, "the run was cancelled"},
    {9, "the run was suspended by --until or --only"},
    {130, "interrupted by a signal"},
};
#define EXIT_CODES (sizeof exit_codes / sizeof exit_codes[0])

static const char run_names[] =
    "A run is named by its id, by a unique prefix of at least 4 characters, by @last, by "
    "@subject:NAME (the subject's newest) or @subject:NAME:ok (its newest that succeeded or is "
    "degraded).";

static void put_wrapped(FILE *out, const char *text, size_t width)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (length > width) {
            size_t cut = width;
            while (cut > 0 && text[cut] != ' ') {
                cut--;
            }
            length = cut > 0 ? cut : length;
        }
        fprintf(out, "%.*s\n", (int)length, text);
        text += length;
        text += *text == ' ' || *text == '\n';
    }
}

static void put_options(FILE *out, const command_option *options)
{
    size_t widest = 0;
    for (const command_option *o = options; o->name != NULL; o++) {
        const size_t width = strlen(o->name) + (o->argument != NULL ? strlen(o->argument) + 1 : 0);
        widest = width > widest ? width : widest;
    }
    for (const command_option *o = options; o->name != NULL; o++) {
        char letter[8] = "    ";
        if (o->letter != 0) {
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        }
        const int used =
            fprintf(out, "  %s--%s%s%s", letter, o->name, o->argument != NULL ? " " : "",
                    o->argument != NULL ? o->argument : "");
        fprintf(out, "%*s%s\n", (int)widest + 10 - used, "", o->help);
    }
}

static void put_usage(FILE *out, const command *c)
{
    fprintf(out, "usage: ratoon %s%s%s%s\n", c->name, c->options->name != NULL ? " [OPTIONS]" : "",
            *c->arguments != '\0' ? " " : "", c->arguments);
}

void help_overview(FILE *out)
{
    fputs("usage: ratoon [--store DIR] [--json] [--quiet] COMMAND …\n\n", out);
    for (const command *c = commands; c->name != NULL; c++) {
        if (!c->hidden) {
            fprintf(out, "  %-12s%s\n", c->name, c->summary);
        }
    }
    fputs("\nOptions of every command:\n", out);
    put_options(out, global_options);
    fputc('\n', out);
    put_wrapped(out, run_names, 79);
    fputs("`ratoon COMMAND --help` tells more; `ratoon init` writes an example to begin with.\n",
          out);
}

void help_command(const command *c, FILE *out)
{
    put_usage(out, c);
    fprintf(out, "\nratoon %s: %s\n", c->name, c->summary);
    if (c->details != NULL) {
        fputc('\n', out);
        put_wrapped(out, c->details, 79);
    }
    if (strstr(c->arguments, "RUN") != NULL) {
        fputc('\n', out);
        put_wrapped(out, run_names, 79);
    }
    if (c->options->name != NULL) {
        fputs("\nOptions:\n", out);
        put_options(out, c->options);
    }
    fputs("\nOptions of every command:\n", out);
    put_options(out, global_options);
}

/* ---- manual ---- */

/* scdoc gives underscores, stars and backslashes a meaning. */
static void put_scdoc(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("_*\\`#", *text) != NULL) {
            fputc('\\', out);
        }
        fputc(*text, out);
        if (*text == '\n') { /* each line a paragraph of its own */
            fputc('\n', out);
        }
    }
}

static void manual_options(FILE *out, const command_option *options)
{
    for (const command_option *o = options; o->name != NULL; o++) {
        fputs("\n*", out);
        if (o->letter != 0) {
            fprintf(out, "-%c*, *", o->letter);
        }
        fprintf(out, "--%s*", o->name);
        if (o->argument != NULL) {
            fputs(" _", out);
            fputs(o->argument, out);
            fputc('_', out);
        }
        fputs("\n\t", out);
        put_scdoc(out, o->help);
        fputc('\n', out);
    }
}

void help_manual(FILE *out)
{
    fputs("ratoon(1)\n\n# NAME\n\nratoon - run pipelines of commands, retry them from any stage, "
          "audit their history\n\n# SYNOPSIS\n\n*ratoon* [_OPTIONS_] _COMMAND_ ...\n\n"
          "# DESCRIPTION\n\n"
          "ratoon executes pipelines of commands and records every change of status in an "
          "append-only store. A run that failed is not started over: a new branch springs from the "
          "stage where it was good.\n\n",
          out);
    put_scdoc(out, run_names);
    fputs("\n\n# OPTIONS\n\nThey may stand before or after the command.\n", out);
    manual_options(out, global_options);
    fputs("\n# COMMANDS\n", out);
    for (const command *c = commands; c->name != NULL; c++) {
        if (c->hidden) {
            continue;
        }
        fprintf(out, "\n## ratoon %s", c->name);
        fprintf(out, "%s%s\n\n", *c->arguments != '\0' ? " " : "", c->arguments);
        put_scdoc(out, c->summary);
        fputs(".\n", out);
        if (c->details != NULL) {
            fputc('\n', out);
            put_scdoc(out, c->details);
            fputc('\n', out);
        }
        manual_options(out, c->options);
    }
    fputs("\n# EXIT STATUS\n", out);
    for (size_t i = 0; i < EXIT_CODES; i++) {
        fprintf(out, "\n*%d*\n\t", exit_codes[i].code);
        put_scdoc(out, exit_codes[i].meaning);
        fputc('\n', out);
    }
    fputs("\n# ENVIRONMENT\n\n*RATOON\\_STORE*\n\tThe store's folder, unless *--store* names it. "
          "Without either it is the nearest folder *.ratoon*, in the working folder or above it.\n"
          "\n*RATOON\\_SECRET\\_*_NAME_\n\tValue of the secret parameter _NAME_, in capitals.\n"
          "\n*NO\\_COLOR*\n\tNo colours where *--color* is auto.\n",
          out);
}

/* ---- completions ---- */

static void put_words(FILE *out, const command_option *options)
{
    for (const command_option *o = options; o->name != NULL; o++) {
        fprintf(out, " --%s", o->name);
    }
}

static void complete_bash(FILE *out)
{
    fputs("_ratoon() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} command= i\n"
          "    local commands=\"",
          out);
    const char *separator = "";
    for (const command *c = commands; c->name != NULL; c++) {
        if (!c->hidden) {
            fprintf(out, "%s%s", separator, c->name);
            separator = " ";
        }
    }
    fputs("\"\n    local options=\"", out);
    put_words(out, global_options);
    fputs("\"\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n"
          "        --store | --color | --wait) ((i++)) ;;\n"
          "        -*) ;;\n"
          "        *) command=${COMP_WORDS[i]}; break ;;\n"
          "        esac\n"
          "    done\n"
          "    case $command in\n"
          "    '') [[ $word == -* ]] || options=$commands ;;\n",
          out);
    for (const command *c = commands; c->name != NULL; c++) {
        if (!c->hidden && c->options->name != NULL) {
            fprintf(out, "    %s) options+=\"", c->name);
            put_words(out, c->options);
            fputs("\" ;;\n", out);
        }
    }
    fputs("    help) options=$commands ;;\n"
          "    completion) options=\"bash zsh fish\" ;;\n"
          "    esac\n"
          "    if [[ $word == -* || -z $command || $command == help || $command == completion ]]; "
          "then\n"
          "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
          "    else\n"
          "        COMPREPLY=($(compgen -W \"@last @subject:\" -- \"$word\") "
          "$(compgen -f -- \"$word\"))\n"
          "    fi\n"
          "}\n"
          "complete -o filenames -F _ratoon ratoon\n",
          out);
}

/* A text inside of single quotes, without what the shell's completion syntax gives a meaning. */
static void put_description(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", out);
        } else if (strchr("[]:", *text) == NULL) {
            fputc(*text, out);
        }
    }
}

static void zsh_options(FILE *out, const command_option *options)
{
    for (const command_option *o = options; o->name != NULL; o++) {
        fprintf(out, " \\\n            '%s--%s[", o->repeatable ? "*" : "", o->name);
        put_description(out, o->help);
        fputc(']', out);
        if (o->argument != NULL) {
            fprintf(out, ":%s:%s", o->argument,
                    strcmp(o->argument, "FILE") == 0 || strcmp(o->argument, "DIR") == 0 ? "_files"
                                                                                        : "");
        }
        fputc('\'', out);
    }
}

static void complete_zsh(FILE *out)
{
    fputs("#compdef ratoon\n_ratoon() {\n    local -a commands\n    commands=(\n", out);
    for (const command *c = commands; c->name != NULL; c++) {
        if (!c->hidden) {
            fprintf(out, "        '%s:", c->name);
            put_description(out, c->summary);
            fputs("'\n", out);
        }
    }
    fputs("    )\n    local line state\n    _arguments -C", out);
    zsh_options(out, global_options);
    fputs(" \\\n            '1:command:->command' '*::argument:->argument'\n"
          "    case $state in\n"
          "    command) _describe command commands ;;\n"
          "    argument)\n"
          "        case $line[1] in\n",
          out);
    for (const command *c = commands; c->name != NULL; c++) {
        if (!c->hidden) {
            fprintf(out, "        %s) _arguments", c->name);
            zsh_options(out, global_options);
            zsh_options(out, c->options);
            fputs(" \\\n            '*:argument:_files' ;;\n", out);
        }
    }
    fputs("        esac ;;\n    esac\n}\ncompdef _ratoon ratoon\n", out);
}

static void fish_options(FILE *out, const char *condition, const command_option *options)
{
    for (const command_option *o = options; o->name != NULL; o++) {
        fprintf(out, "complete -c ratoon %s -l %s", condition, o->name);
        if (o->letter != 0) {
            fprintf(out, " -s %c", o->letter);
        }
        fprintf(out, "%s -d '", o->argument != NULL ? " -r" : "");
        put_description(out, o->help);
        fputs("'\n", out);
    }
}

static void complete_fish(FILE *out)
{
    fish_options(out, "", global_options);
    for (const command *c = commands; c->name != NULL; c++) {
        if (!c->hidden) {
            char condition[96];
            fprintf(out, "complete -c ratoon -n __fish_use_subcommand -a %s -d '", c->name);
            put_description(out, c->summary);
            fputs("'\n", out);
            snprintf(condition, sizeof condition, "-n '__fish_seen_subcommand_from %s'", c->name);
            fish_options(out, condition, c->options);
        }
    }
}

int help_completion(const app *a, const char *shell)
{
    if (strcmp(shell, "bash") == 0) {
        complete_bash(stdout);
    } else if (strcmp(shell, "zsh") == 0) {
        complete_zsh(stdout);
    } else if (strcmp(shell, "fish") == 0) {
        complete_fish(stdout);
    } else {
        return app_error(a, RATOON_ERR_USAGE, NULL, "completions are for bash, zsh or fish, not %s",
                         shell);
    }
    return EXIT_DONE;
}

/* ---- the commands about the command ---- */

int command_help(app *a, const args *in)
{
    const char *name = args_at(in, 0);
    if (name == NULL) {
        help_overview(stdout);
        return EXIT_DONE;
    }
    const command *c = command_find(name);
    if (c == NULL) {
        const char *near = command_nearest(name);
        char *hint = near != NULL ? text_format("did you mean %s?", near) : NULL;
        const int code = app_error(a, RATOON_ERR_USAGE, hint, "there is no command \"%s\"", name);
        free(hint);
        return code;
    }
    help_command(c, stdout);
    return EXIT_DONE;
}

int command_version(app *a, const args *in)
{
    (void)in;
    if (a->json) {
        printf("{\"schema\":1,\"version\":\"%d.%d.%d\"}\n", RATOON_VERSION_MAJOR,
               RATOON_VERSION_MINOR, RATOON_VERSION_PATCH);
    } else {
        printf("ratoon %d.%d.%d\n", RATOON_VERSION_MAJOR, RATOON_VERSION_MINOR,
               RATOON_VERSION_PATCH);
    }
    return EXIT_DONE;
}

int command_manual(app *a, const args *in)
{
    (void)a;
    (void)in;
    help_manual(stdout);
    return EXIT_DONE;
}

int command_completion(app *a, const args *in)
{
    return help_completion(a, args_at(in, 0));
}
