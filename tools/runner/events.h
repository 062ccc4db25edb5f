/* RATOON_EVENTS (E07): one JSON object a line, read while the stage runs. */
#ifndef RATOON_TOOLS_RUNNER_EVENTS_H
#define RATOON_TOOLS_RUNNER_EVENTS_H

#include "tools/runner/mask.h"
#include "tools/runner/text.h"

#include <ratoon.h>

#define RUNNER__EVENT_LINE_MAX (RATOON_VALUE_MAX_DEFAULT + 65536u)

typedef enum runner__line_kind {
    RUNNER__LINE_PROGRESS = 1, /* done, total, text */
    RUNNER__LINE_ITEM,         /* item, failed or committed (neither: done), value, text */
    RUNNER__LINE_DEGRADED,     /* text */
    RUNNER__LINE_OUTPUT,       /* value: an object */
    RUNNER__LINE_CONSUMES,     /* text */
    RUNNER__LINE_EXTERNAL_REF, /* text */
} runner__line_kind;

typedef struct runner__line {
    runner__line_kind kind;
    uint64_t done, total;
    char *item, *text;   /* owned, may be NULL */
    runner__slice value; /* within the line; size 0: none */
    bool failed, committed;
} runner__line;
void runner__line_free(runner__line *line);

/* False, and why, for what is no event. */
bool runner__line_parse(runner__slice text, runner__line *out, runner__text *error);

/* Reads a growing file and hands out its complete lines. */
typedef struct runner__events {
    const runner__mask *mask; /* for `raw`; may be NULL */
    int fd;
    uint64_t offset;
    uint64_t line;        /* number of the last one handed out */
    runner__text partial; /* what follows the last newline */
    runner__text broken;  /* the first line that broke the protocol: which and why; "" if none */
    runner__text raw;     /* that line, bounded and masked */
} runner__events;
bool runner__events_open(runner__events *events, const char *path, const runner__mask *mask);
void runner__events_close(runner__events *events);
typedef void runner__line_fn(void *ctx, const runner__line *line);
/* Reads what is new, a bounded amount of it; returns whether there was anything. last: everything,
 * and what follows the last newline is a line too. */
bool runner__events_read(runner__events *events, bool last, runner__line_fn *fn, void *ctx);
/* For events that are well-formed but can't be; a line number is added. */
void runner__events_refuse(runner__events *events, const char *why);

#endif
