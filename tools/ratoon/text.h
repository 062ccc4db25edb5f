/* Text for people: names and texts from outside made harmless, durations, times, widths, colours.
 */
#ifndef RATOON_TOOLS_TEXT_H
#define RATOON_TOOLS_TEXT_H

#include "tools/ratoon/app.h"

/* Writes text from outside with control bytes, bytes that aren't UTF-8 and characters that turn the
 * direction of text escaped (\x1b, \n, \u202e). With `lines`, line feeds and tabs stay. */
void text_put(FILE *out, const char *text, size_t size, bool lines);
void text_put_string(FILE *out, const char *text); /* one line; NULL is nothing */
/* A message that may have several lines (differences, a chain of runs), as one. */
void text_put_message(FILE *out, const char *text);
/* Text escaped as by text_put_string(); free it. Never NULL (aborts when out of memory). */
char *text_escape(const char *text);
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_copy(const char *text);
/* What a noun has at its end: "" for one, else "s". */
const char *text_plural(uint64_t count);

/* Writes a word so that a POSIX shell reads it as one. */
void text_put_quoted(FILE *out, const char *word);

/* "0.2s", "1m05s", "2h07m", "3d04h". */
#define TEXT_DURATION_MAX 32
const char *text_duration(uint64_t us, char out[TEXT_DURATION_MAX]);
/* "2026-07-20 14:03:22", in local time; "" for 0. */
#define TEXT_TIME_MAX 32
const char *text_time(uint64_t us, char out[TEXT_TIME_MAX]);
const char *text_clock(uint64_t us, char out[TEXT_TIME_MAX]);                /* "14:03:22" */
const char *text_ago(uint64_t us, uint64_t now_us, char out[TEXT_TIME_MAX]); /* "2h ago" */

/* text_time(), or where stdout is a terminal the shorter text_ago(). */
const char *text_when(uint64_t us, uint64_t now_us, char out[TEXT_TIME_MAX]);

/* "90d", "1h30m", "500ms", "2.5s", "7" (seconds). */
bool text_parse_duration(const char *text, uint64_t *us);
/* RFC 3339 (a date alone is its midnight UTC), or a duration before `now` ("90d", "2h ago"). */
bool text_parse_time(const char *text, uint64_t now_us, uint64_t *us);

/* Bytes of the UTF-8 character at text, 0: it is none. */
size_t text_character(const char *text, size_t size);
/* Columns that a text takes on a terminal. */
size_t text_width(const char *text);
/* Columns of a terminal, 0: it isn't one. */
size_t text_terminal_width(int fd);
bool text_utf8(void); /* whether the locale's characters are UTF-8 */

/* ---- colours ---- */
typedef enum text_style {
    STYLE_NONE = 0,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_RED,
    STYLE_GREEN,
    STYLE_YELLOW,
    STYLE_BLUE,
    STYLE_CYAN,
    STYLE_MAGENTA,
} text_style;
bool text_colored(const app *a, FILE *out);
/* Escape sequence of a style, "" without colour. */
const char *text_style_on(bool colored, text_style style);
const char *text_style_off(bool colored);
text_style text_status_style(const char *status);
const char *text_status_mark(const char *status); /* one column */

#endif
