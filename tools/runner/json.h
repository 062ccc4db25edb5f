/* A strict scanner of JSON text (RFC 8259, valid UTF-8, at most 512 levels) that builds no tree:
 * values stay the text they are, so numbers keep their digits and a large value costs nothing. */
#ifndef RATOON_TOOLS_RUNNER_JSON_H
#define RATOON_TOOLS_RUNNER_JSON_H

#include "tools/runner/text.h"

/* Whether the text is one JSON value. If not, *error says why and *at is the offset. */
bool runner__json_check(runner__slice text, const char **error, size_t *at);

/* The functions below expect text that was checked. */
char runner__json_kind(runner__slice value); /* one of { [ " 0 t n (number: 0, true or false: t) */

typedef struct runner__json_iter {
    const char *p, *end;
    bool object;
} runner__json_iter;
/* Members of an object or elements of an array, by kind of the value. */
runner__json_iter runner__json_iterate(runner__slice value);
/* key: the string with its quotes; unused for arrays, may be NULL. */
bool runner__json_next(runner__json_iter *iter, runner__slice *key, runner__slice *value);
/* The text of a string value, decoded. Appends to out; may contain NUL. */
void runner__json_decode(runner__slice string, runner__text *out);
/* As a new NUL-terminated string; NULL where it contains NUL or is not a string. */
char *runner__json_strdup(runner__slice string);
bool runner__json_equals(runner__slice string, const char *text);
/* Member of an object by name, the last one of that name. */
bool runner__json_member(runner__slice object, const char *name, runner__slice *value);
/* Without insignificant white space, so that it fits on a line. Appends. */
void runner__json_compact(runner__slice value, runner__text *out);
/* A number as a count: negative ones become 0, fractions are cut. False for other kinds. */
bool runner__json_count(runner__slice value, uint64_t *out);

#endif
