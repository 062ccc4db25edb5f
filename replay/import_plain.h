/* Runs that come as plain lines: from JSON to commits. */
#ifndef RATOON_REPLAY_IMPORT_PLAIN_H
#define RATOON_REPLAY_IMPORT_PLAIN_H

#include "replay/import.h"

#include "core/decide.h"
#include "log/codec.h"

/* A run under way. */
typedef struct ratoon__plain {
    ratoon__import *im;
    const json_t *run, *stages;
    ratoon_pipeline *pipeline;
    ratoon__arena arena; /* of the whole run */
    ratoon__encoder *encoder;
    ratoon_id id;
    uint64_t time_us; /* of the last commit */
} ratoon__plain;

/* plain_json.c: members of lines. Absent and null are the same. */
const char *ratoon__plain_string(const json_t *object, const char *key); /* NULL: none */
/* USAGE where a member is none of `known` (names separated by blanks), or has another type than it
 * should. */
ratoon_status ratoon__plain_check(ratoon__import *im, const json_t *object, const char *what,
                                  const char *known);
/* RFC 3339; *out is left where there is none. */
ratoon_status ratoon__plain_time(ratoon__import *im, const json_t *object, const char *key,
                                 uint64_t *out);
/* A parameter as text; NULL: it is neither text, number nor boolean. In the arena. */
const char *ratoon__plain_param(ratoon__arena *arena, const json_t *value);
/* Values of an object of any JSON, inline or put aside. */
ratoon_status ratoon__plain_values(ratoon__plain *p, const json_t *object, const char *what,
                                   ratoon__values *out);
/* "error": a text, or {"class","message","detail"}. */
ratoon_status ratoon__plain_failure(ratoon__plain *p, const json_t *stage, ratoon__failure *out);

#endif
