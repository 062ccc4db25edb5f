/* What the formats of an export share. */
#ifndef RATOON_REPLAY_EXPORT_H
#define RATOON_REPLAY_EXPORT_H

#include "replay/json.h"

typedef struct ratoon__export {
    ratoon_store *store;
    ratoon_write_fn write;
    void *ctx;
    ratoon__buf out;      /* not yet given to write() */
    ratoon_status status; /* sticky: nothing more is written */
    ratoon_error *error;
    size_t lineages, runs, items; /* written so far; runs and items are counted by formats that
                                     need it */
    ratoon_digest *written;       /* values that were: open addressing, zero is free */
    size_t written_count, written_capacity;
} ratoon__export;

/* Writes text on, in pieces; errors stick. */
void ratoon__export_text(ratoon__export *x, const char *text);
void ratoon__export_format(ratoon__export *x, const char *format, ...);
void ratoon__export_json(ratoon__export *x, json_t *doc); /* one line; consumes doc */
void ratoon__export_fail(ratoon__export *x, ratoon_status status);
/* True the first time. */
bool ratoon__export_first(ratoon__export *x, const ratoon_digest *digest);

/* A format: begin and end may be NULL. */
typedef struct ratoon__exporter {
    void (*begin)(ratoon__export *x);
    void (*lineage)(ratoon__export *x, const ratoon__lineage *l);
    void (*end)(ratoon__export *x);
} ratoon__exporter;
extern const ratoon__exporter ratoon__export_jsonl;
extern const ratoon__exporter ratoon__export_openlineage;
extern const ratoon__exporter ratoon__export_trace;
extern const ratoon__exporter ratoon__export_dot;
extern const ratoon__exporter ratoon__export_mermaid;
extern const ratoon__exporter ratoon__export_csv;
extern const ratoon__exporter ratoon__export_html;

/* One attempt of a stage, as its events tell. */
typedef struct ratoon__attempt {
    const ratoon__run *run;
    uint32_t stage, attempt;
    uint64_t started_at, ended_at; /* ended_at 0: it isn't over */
    const char *status; /* succeeded degraded failed cancelled skipped interrupted running */
    ratoon_class error_class;
    const char *message; /* of the failure; may be NULL; lent for the call */
} ratoon__attempt;
/* Calls fn for every attempt in the lineage in the order of their ends, those that aren't over
 * last.
 */
void ratoon__export_attempts(ratoon__export *x, const ratoon__lineage *l,
                             void (*fn)(void *ctx, const ratoon__attempt *a), void *ctx);
/* RFC 3339, "" for 0; free it. NULL: out of memory. */
char *ratoon__export_time(uint64_t time_us);

/* Base64 (RFC 4648, with padding). Decoding is strict; *out is malloc'ed, aligned for any type.
 * False: it is none, or no memory (*size SIZE_MAX). */
void ratoon__base64_add(ratoon__buf *out, const void *data, size_t size);
bool ratoon__base64_decode(const char *text, size_t length, void **out, size_t *size);

/* The values that a commit refers to by digest, definitions included. */
typedef void (*ratoon__stored_fn)(void *ctx, const ratoon_digest *digest, uint64_t size);
/* size: UINT64_MAX where the commit does not say it (definitions). */
void ratoon__commit_stored(const ratoon__commit *commit, ratoon__stored_fn fn, void *ctx);
/* All values in a commit, inline ones too. */
void ratoon__commit_values(const ratoon__commit *commit,
                           void (*fn)(void *ctx, const ratoon__value_ref *value), void *ctx);

#endif
