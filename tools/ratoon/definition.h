/* Pipeline files, and what a run is given beside them. */
#ifndef RATOON_TOOLS_DEFINITION_H
#define RATOON_TOOLS_DEFINITION_H

#include "tools/ratoon/app.h"

/* Reads and parses a pipeline file. *path: its absolute path; free it. Gives an exit code, or -1 to
 * go on. */
int definition_read(const app *a, const char *file, ratoon_pipeline **out, char **path);
/* Warns where a run has another definition than the one read from a file. */
void definition_warn_if_other(const app *a, ratoon_id run, const ratoon_pipeline *read,
                              const char *file, const char *action);
/* Whether the file that a run came from (its document's "file") holds another definition by now;
 * warns of it and says how to use it. action: "resume" or "retry". */
void definition_warn_if_changed(const app *a, ratoon_id run, const char *action);

/* Parameters as given, with the values of secrets from the environment added (E08). Refuses secrets
 * on the command line, and with `required` those without a value. Free *out with pairs_free(). */
int secrets_add(const app *a, const ratoon_pipeline *pipeline, bool required, ratoon_pair **params,
                size_t *count);

/* A JSON object in a file as state values. Free with values_free(). */
int values_read(const app *a, const char *file, ratoon_value **out, size_t *count);
void values_free(ratoon_value *values, size_t count);

/* Reads a whole file, at most `most` bytes. Errors are reported as USAGE. NULL: reported. */
char *file_read(const app *a, const char *path, size_t most, size_t *size);

#endif
