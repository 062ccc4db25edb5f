/* Building JSON documents. Strings that come from outside are valid UTF-8 in what is built,
 * whatever they were. */
#ifndef RATOON_REPLAY_JSON_H
#define RATOON_REPLAY_JSON_H

#include "log/digest.h"
#include "log/store.h"

#include <jansson.h>

#define RATOON__SCHEMA 1

json_t *ratoon__json_id(ratoon_id id);       /* null for zero */
json_t *ratoon__json_text(const char *text); /* null for NULL; bad UTF-8 is replaced */
json_t *ratoon__json_bytes(const char *text, size_t size);
json_t *ratoon__json_time(uint64_t time_us); /* RFC 3339 with microseconds; null for 0 */
json_t *ratoon__json_digest(const ratoon_digest *d);
json_t *ratoon__json_stage(const ratoon_pipeline *p, int32_t stage); /* its name; null for -1 */
/* A parameter's canonical text as the type it is declared with. */
json_t *ratoon__json_param(const ratoon_pipeline *p, const char *name, const char *text);
json_t *ratoon__json_class(ratoon_class c); /* null for NONE */
/* {"p": new} of suggested overrides. */
json_t *ratoon__json_suggested(const ratoon_pipeline *p, const ratoon__override *o, size_t count);
/* {"p": {"old","new"}} */
json_t *ratoon__json_overrides(const ratoon_pipeline *p, const ratoon__override *o, size_t count);

/* The documents themselves, without the envelope. */
json_t *ratoon__json_run(ratoon_store *s, const ratoon__lineage *l, const ratoon__run *r,
                         bool with_stages);
/* What can be done now with a run (A03). */
json_t *ratoon__json_actions(ratoon_store *s, const ratoon__lineage *l, const ratoon__run *r);
/* One event as `log` prints it, without the envelope's "schema". pipeline: of the event's run, to
 * name stages; may be NULL. */
json_t *ratoon__json_event(const ratoon__commit *commit, size_t i, const ratoon_pipeline *pipeline);

/* How documents are dumped: compact, and reals with as few digits (15 to 17) as give all of them
 * back: 0.1 as 0.1. */
size_t ratoon__json_dump_flags(const json_t *value);
/* One line of compact JSON; consumes doc. NO_MEMORY where doc is NULL. */
ratoon_status ratoon__json_finish(json_t *doc, ratoon_buffer *out, ratoon_error *error);
/* Appends the document and a newline to a buffer; consumes doc. */
ratoon_status ratoon__json_line(json_t *doc, ratoon__buf *out);

#endif
