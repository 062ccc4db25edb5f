/* The environment of a stage, and the state that it receives as a file. */
#ifndef RATOON_TOOLS_RUNNER_ENV_H
#define RATOON_TOOLS_RUNNER_ENV_H

#include "tools/runner/facts.h"

typedef struct runner__env { /* zero-initialise; NAME=VALUE strings, NULL-terminated */
    char **items;
    size_t count, capacity;
} runner__env;
void runner__env_free(runner__env *env);
void runner__env_set(runner__env *env, const char *name, const char *value);
char *runner__env_name(const char *prefix, const char *name); /* PREFIX and NAME in capitals */

/* The inherited environment without RATOON_*, then the stage's `env` (def may be NULL), then what
 * is true for the run: RATOON_RUN, _ROOT, _DEPTH, _STORE, _PARAM_*. */
void runner__env_base(const runner__facts *facts, const ratoon_stage_def *def, runner__env *env);
/* RATOON_STAGE, _ATTEMPT, and the paths below `folder`; item and value_path NULL without foreach.
 */
void runner__env_stage(runner__env *env, const char *stage, uint32_t attempt,
                       const char *state_path, const char *folder, const char *item);

/* The stage's working folder; the caller frees. */
char *runner__stage_cwd(const runner__facts *facts, const ratoon_stage_def *def);
/* Its command, ready for execvp; strings and array are the caller's to free with
 * runner__argv_free(). */
char **runner__stage_argv(const runner__facts *facts, const ratoon_stage_def *def);
char **runner__argv_resolve(const char *base_dir, const char *const *argv, size_t count);
void runner__argv_free(char **argv);

/* Writes what the stage receives as one JSON object; key (may be NULL): its value, as JSON, is
 * given in *value, "" where the state lacks it. */
ratoon_status runner__state_write(const runner__facts *facts, const char *stage, const char *path,
                                  const char *key, runner__text *value, ratoon_error *error);

#endif
