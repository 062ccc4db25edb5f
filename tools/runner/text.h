/* Growable text for the runner. What allocates here aborts when memory is out: the supervisors then
 * end the stages, and the run is recovered when the store is opened next. */
#ifndef RATOON_TOOLS_RUNNER_TEXT_H
#define RATOON_TOOLS_RUNNER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *runner__alloc(size_t size); /* zeroed */
void *runner__grow(void *array, size_t *capacity, size_t needed, size_t element_size);
char *runner__strdup(const char *s);
char *runner__strndup(const char *s, size_t size);

typedef struct runner__slice { /* lent bytes, not NUL-terminated */
    const char *data;
    size_t size;
} runner__slice;

/* Zero-initialise. `data` is NUL-terminated once something was added. */
typedef struct runner__text {
    char *data;
    size_t size, capacity;
} runner__text;

void runner__text_add(runner__text *t, const void *data, size_t size);
void runner__text_str(runner__text *t, const char *s);
void runner__text_format(runner__text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds a JSON string with its quotes; the bytes must be valid UTF-8. */
void runner__text_json(runner__text *t, const char *data, size_t size);
/* Adds the bytes as valid UTF-8: what is not becomes \xNN, and NUL becomes \x00. */
void runner__text_utf8(runner__text *t, const char *data, size_t size);
/* Adds a string that is valid UTF-8; of a longer one its first characters, at most size_max bytes,
 * and "…". */
void runner__text_start(runner__text *t, const char *s, size_t size_max);
void runner__text_clear(runner__text *t); /* keeps the memory */
void runner__text_free(runner__text *t);
char *runner__text_take(runner__text *t); /* the caller's to free(); "" where nothing was added */

/* Length of the valid UTF-8 sequence at data[0], 0 where there is none. */
size_t runner__utf8_length(const char *data, size_t size);
bool runner__utf8_valid(const char *data, size_t size);

/* The last `limit` bytes, whatever was added. */
typedef struct runner__tail {
    char *data;
    size_t limit, size, next; /* next: where the next byte goes once it is full */
} runner__tail;
void runner__tail_add(runner__tail *tail, const char *data, size_t size);
void runner__tail_text(const runner__tail *tail, runner__text *out); /* in order */
void runner__tail_free(runner__tail *tail);

#endif
