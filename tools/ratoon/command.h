/* The command line as data: one table of commands, from which options, help, completions and the
 * manual are made; and what a command is given when it is executed. */
#ifndef RATOON_TOOLS_COMMAND_H
#define RATOON_TOOLS_COMMAND_H

#include "tools/ratoon/app.h"

typedef struct command_option {
    const char *name;     /* without the dashes; NULL ends a list */
    const char *argument; /* name of its argument, NULL for a flag */
    const char *help;     /* one line */
    char letter;          /* short form, 0: none */
    bool repeatable;
} command_option;

typedef struct args args;

typedef struct command {
    const char *name;      /* NULL ends the table */
    const char *arguments; /* "RUN [KEY]": [X] may be left out, X… may be repeated */
    const char *summary;   /* one line */
    const char *details;   /* further paragraphs for help and manual; NULL: none */
    const command_option *options;
    int (*execute)(app *a, const args *in);
    bool hidden;
} command;

extern const command commands[];
extern const command_option global_options[];

const command *command_find(const char *name);
/* Keeps the nearer of two candidates for what was typed: a name that begins with it, or one with
 * few differences for its length. *distance: of *best, at first a large number. */
void name_consider(const char *typed, const char *name, const char **best, unsigned *distance);
/* The known name nearest to one that isn't known, or NULL where none is near. */
const char *command_nearest(const char *name);
/* Fewest and most positional arguments; SIZE_MAX: any number. */
void command_arity(const command *c, size_t *least, size_t *most);

/* Reads the whole command line into *out. Gives an exit code, or -1 to go on with out->command.
 * Errors are reported. */
int args_read(app *a, int argc, char **argv, args **out);
void args_free(args *a);

const command *args_command(const args *a);
size_t args_count(const args *a);             /* positional arguments */
const char *args_at(const args *a, size_t i); /* NULL behind the last */
bool args_has(const args *a, const char *option);
const char *args_get(const args *a, const char *option); /* last value, NULL: not given */
/* Value n of a repeatable option, NULL behind the last. */
const char *args_nth(const args *a, const char *option, size_t n);
size_t args_times(const args *a, const char *option);
/* Option i as it was given, in order; *value NULL for a flag. False behind the last. */
bool args_given(const args *a, size_t i, const char **option, const char **value);
/* A whole number within least..most; *out is left alone where the option wasn't given. False: it
 * was reported (exit 2). */
bool args_number(app *a, const args *in, const char *option, uint64_t least, uint64_t most,
                 uint64_t *out);
/* Splits the values of a repeatable option at their first '=' into *out (free with pairs_free()).
 */
bool args_pairs(app *a, const args *in, const char *option, ratoon_pair **out, size_t *count);
void pairs_free(ratoon_pair *pairs, size_t count);

/* Ways to show the table. */
void help_overview(FILE *out);
void help_command(const command *c, FILE *out);
void help_manual(FILE *out); /* scdoc source of ratoon(1) */
int help_completion(const app *a, const char *shell);

/* The commands. */
int command_annotate(app *a, const args *in);
int command_backup(app *a, const args *in);
int command_cancel(app *a, const args *in);
int command_check(app *a, const args *in);
int command_completion(app *a, const args *in);
int command_delete(app *a, const args *in);
int command_diff(app *a, const args *in);
int command_emit(app *a, const args *in);
int command_explain(app *a, const args *in);
int command_export(app *a, const args *in);
int command_help(app *a, const args *in);
int command_import(app *a, const args *in);
int command_init(app *a, const args *in);
int command_keygen(app *a, const args *in);
int command_list(app *a, const args *in);
int command_log(app *a, const args *in);
int command_logs(app *a, const args *in);
int command_manual(app *a, const args *in);
int command_prune(app *a, const args *in);
int command_restore(app *a, const args *in);
int command_resume(app *a, const args *in);
int command_retry(app *a, const args *in);
int command_run(app *a, const args *in);
int command_seal(app *a, const args *in);
int command_shell(app *a, const args *in);
int command_show(app *a, const args *in);
int command_stale(app *a, const args *in);
int command_state(app *a, const args *in);
int command_stats(app *a, const args *in);
int command_tree(app *a, const args *in);
int command_verify(app *a, const args *in);
int command_version(app *a, const args *in);
int command_wait(app *a, const args *in);
int command_watch(app *a, const args *in);

#endif
