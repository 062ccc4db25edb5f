/* What every command has at hand: global options, the store, and how errors are reported. */
#ifndef RATOON_TOOLS_APP_H
#define RATOON_TOOLS_APP_H

#include <ratoon.h>
#include <stdarg.h>
#include <stdio.h>

typedef enum app_color { APP_COLOR_AUTO = 0, APP_COLOR_ALWAYS, APP_COLOR_NEVER } app_color;

#define EXIT_DONE 0
#define EXIT_RUN_FAILED 1
#define EXIT_USAGE 2
#define EXIT_DAMAGED 6
#define EXIT_IO 7
#define EXIT_RUN_CANCELLED 8
#define EXIT_RUN_SUSPENDED 9
#define EXIT_INTERRUPTED 130

typedef struct app {
    const char *store_option; /* --store as given, or NULL */
    char *store_path;         /* where the store is or would be; set when it is opened */
    bool json;
    bool quiet;
    app_color color;
    uint32_t wait_ms;
    ratoon_store *store; /* NULL: not open */
    bool damaged;        /* the store can be read only; the exit code becomes EXIT_DAMAGED */
    char *damage;        /* what was found when it was opened; NULL: nothing */
} app;

/* ---- errors.c ---- */

/* Reports an error as "ratoon: CODE: message", with its hint, and as a document with --json; gives
 * the exit code. */
int app_fail(const app *a, const ratoon_error *error);
/* The same for one found here; hint may be NULL. */
int app_error(const app *a, ratoon_status code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A line on stderr: a remark ("ratoon: …", not with --quiet) and a warning ("ratoon: warning: …").
 */
void app_note(const app *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void app_warn(const app *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
int app_no_memory(const app *a);

/* ---- place.c: where the store is ---- */

/* Sets a->store_path, whether there is a store or not. */
void app_locate_store(app *a);
/* Opens the store for reading commands: it must exist; a damaged one that can be read is opened
 * with a warning. Gives an exit code, or -1 to go on. */
int app_open_store(app *a);
/* The same for commands that change something: a damaged store is refused. */
int app_open_store_for_change(app *a);
/* The same for `run`: creates the store where there is none. */
int app_open_or_create_store(app *a);
void app_close_store(app *a);
/* The run that a word of the user names. Gives an exit code, or -1 to go on. */
int app_find_run(const app *a, const char *spec, ratoon_id *out);

/* ---- signals.c ---- */

/* SIGINT, SIGTERM and SIGHUP set a flag from now on (a second one kills), until the program ends.
 */
void signals_catch(void);
int signals_caught(void); /* number of the signal, 0: none */
/* A broken pipe ends writes, not the process; programs executed from here don't inherit that. */
void signals_no_sigpipe(void);
/* False: nobody reads standard output any more, or it failed. Flushes it. */
bool output_alive(void);

#endif
