/* RATOON_OUTPUT (E07): a JSON object, lines key=value, or key<<END … END. */
#ifndef RATOON_TOOLS_RUNNER_OUTPUT_H
#define RATOON_TOOLS_RUNNER_OUTPUT_H

#include "tools/runner/mask.h"

#include <ratoon.h>

#define RUNNER__FILE_TYPE "application/vnd.ratoon.file+json"
/* An object of items, some of which gave a file. */
#define RUNNER__FILES_TYPE "application/vnd.ratoon.files+json"
#define RUNNER__OUTPUT_FILE_MAX (256u << 20) /* of the file as a whole */

typedef struct runner__output { /* key and data owned */
    char *key;
    char *data; /* compact JSON */
    size_t size;
    bool file; /* stands for a file (S10) */
} runner__output;
typedef struct runner__outputs { /* zero-initialise; a key once, the last one wins */
    runner__output *items;
    size_t count, capacity;
} runner__outputs;
void runner__outputs_free(runner__outputs *outputs);

/* What the text holds. cwd: what a {"file": PATH} is relative to. On failure *error says what was
 * found and expected, and what was gathered so far stays. */
bool runner__output_parse(runner__slice text, const char *cwd, const runner__mask *mask,
                          runner__outputs *outputs, runner__text *error);
/* The members of a checked JSON object, as in a partial output. */
bool runner__output_members(runner__slice object, const char *cwd, const runner__mask *mask,
                            runner__outputs *outputs, runner__text *error);
/* All of them as one JSON object. Appends. */
void runner__outputs_json(const runner__outputs *outputs, runner__text *out);
/* values[outputs->count] for an append; they point into outputs. */
void runner__outputs_values(const runner__outputs *outputs, ratoon_value *values);

/* Where the value is {"file": PATH}, perhaps with size and sha256 beside it: *out gets the absolute
 * path with the size and digest found, and *is_file is set. False where the file can't be read. */
bool runner__output_file(runner__slice value, const char *cwd, runner__text *out, bool *is_file,
                         runner__text *error);

#endif
