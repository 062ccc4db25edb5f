/* Memory and text for core: an arena, and bounded text building without stdio. */
#ifndef RATOON_CORE_MEM_H
#define RATOON_CORE_MEM_H

#include <ratoon.h>
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An arena frees everything at once. Zero-initialise it. Not thread-safe. */
typedef struct ratoon__arena {
    struct ratoon__arena_block *first;
    bool failed; /* an allocation failed; sticky, so that callers may check once at the end */
} ratoon__arena;

/* Zeroed memory, aligned for any type; NULL when out of memory (and a->failed). size 0 gives a
 * unique non-NULL pointer. */
void *ratoon__arena_alloc(ratoon__arena *a, size_t size);
char *ratoon__arena_strdup(ratoon__arena *a, const char *s); /* NULL for NULL */
void *ratoon__arena_memdup(ratoon__arena *a, const void *data, size_t size);
/* Lends it memory of `size` bytes to begin with, which need not be zeroed and lives until the arena
 * is freed for the last time; aligned for any type. */
void ratoon__arena_lend(ratoon__arena *a, void *room, size_t size);
void ratoon__arena_free(ratoon__arena *a); /* and makes it empty, ready for use */
/* Makes it empty, but keeps some memory to be used again. */
void ratoon__arena_reset(ratoon__arena *a);

/* A growable byte buffer, always NUL-terminated once something was written. */
typedef struct ratoon__buf {
    char *data;
    size_t size, capacity;
    bool failed;
} ratoon__buf;
void ratoon__buf_add(ratoon__buf *b, const void *data, size_t size);
/* Room for `size` bytes more, so that adding them can't fail. */
void ratoon__buf_reserve(ratoon__buf *b, size_t size);
void ratoon__buf_str(ratoon__buf *b, const char *s);
/* A small printf: %s string (NULL: "(none)"), %u uint32_t, %d int, %U uint64_t, %I ratoon_id
 * (pass its address), %% — and nothing else. */
void ratoon__buf_format(ratoon__buf *b, const char *format, ...);
void ratoon__buf_vformat(ratoon__buf *b, const char *format, va_list args);
void ratoon__buf_free(ratoon__buf *b);

/* Fills *error (may be NULL) with code and a formatted message, cut at its bound, clears the rest,
 * returns code: `return ratoon__fail(error, RATOON_ERR_X, "…", …);` */
ratoon_status ratoon__fail(ratoon_error *error, ratoon_status code, const char *format, ...);
/* USAGE: a place for a result that must be there is not. what: names of the parameters. */
ratoon_status ratoon__no_place(const char *what, ratoon_error *error);
/* Sets error->hint. */
void ratoon__hint(ratoon_error *error, const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif
