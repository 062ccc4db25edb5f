/* Documents of the library as jansson values, and the shapes that several commands render. */
#ifndef RATOON_TOOLS_DOC_H
#define RATOON_TOOLS_DOC_H

#include "tools/ratoon/app.h"

#include <jansson.h>

/* Writes a document, or lines of them, to stdout. */
void doc_print(const ratoon_buffer *document);
void doc_print_json(const json_t *document);
/* Parses a document; NULL: reported. */
json_t *doc_parse(const app *a, const char *text, size_t size);

/* Writes a document as it is with --json, else has `print` write its member `name` for people.
 * Frees it; returns the exit code. */
int doc_show(const app *a, ratoon_buffer *document, const char *name,
             void (*print)(const app *a, const json_t *member));

/* Members; of something else, or where there is none: "", 0, NULL, false. */
const char *doc_string(const json_t *object, const char *key);
uint64_t doc_number(const json_t *object, const char *key);
bool doc_true(const json_t *object, const char *key);
json_t *doc_member(const json_t *object, const char *key); /* NULL for null too */
uint64_t doc_time(const json_t *object, const char *key);  /* µs since 1970, 0: none */
/* A value as text: strings as they are, the rest as compact JSON. Free it. */
char *doc_text(const json_t *value);
/* old and new of a change ({"old","new"}), or a bare value as the new one. */
const json_t *doc_new(const json_t *change);
const json_t *doc_old(const json_t *change);
/* "batch_size 8 -> 4, mode fast -> full", "" for none. Old values that the changes themselves don't
 * have are looked up in `present` (may be NULL). Free it. */
char *doc_changes(const json_t *changes, const json_t *present);

/* ratoon_doc_run() parsed: its "run". Gives NULL after reporting (*code: the exit code). Release
 * with json_decref(*document). */
json_t *doc_run(const app *a, ratoon_id run, bool with_stages, json_t **document, int *code);

#endif
