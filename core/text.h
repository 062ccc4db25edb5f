/* Texts shared between versions of a projection, and lists of them: a reference count stands before
 * the bytes, so that whoever only reads sees a plain string. */
#ifndef RATOON_CORE_TEXT_H
#define RATOON_CORE_TEXT_H

#include "core/mem.h"

/* A shared block; the memory behind the count is aligned for any type. NULL: out of memory. */
void *ratoon__shared_new(size_t size);
void *ratoon__shared_copy(const void *data, size_t size);
/* The same block with one more reference; NULL gives NULL. */
void *ratoon__shared_ref(const void *block);
void ratoon__shared_unref(const void *block); /* NULL is fine */

/* A shared string; *failed is set where there was no memory, and left alone otherwise. NULL gives
 * NULL. */
const char *ratoon__text_new(const char *s, bool *failed);
/* Replaces a shared string; NULL takes it away. False when out of memory: then it stays. */
bool ratoon__text_set(const char **at, const char *s);

/* Writes a number in decimal, NUL-terminated; returns its first character within `out`. */
char *ratoon__decimal(uint64_t value, char out[21]);

#endif
