/* JSON as text: values are passed on as they were written, so that no number changes its digits. */
#ifndef RATOON_TOOLS_JSONTEXT_H
#define RATOON_TOOLS_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Whether the text is one JSON value (RFC 8259); otherwise *why says what is wrong; free it. */
bool jsontext_valid(const char *text, size_t size, char **why);
/* The following want valid JSON. */
void jsontext_put_compact(FILE *out, const char *text, size_t size);
void jsontext_put_pretty(FILE *out, const char *text, size_t size);
char *jsontext_compact(const char *text, size_t size); /* free it */
/* Calls fn with each member of an object: its decoded key and its value's text. Stops and gives
 * false when fn does, or where the text is no object. */
bool jsontext_members(const char *text, size_t size,
                      bool (*fn)(void *ctx, const char *key, const char *value, size_t value_size),
                      void *ctx);
/* A JSON string of any bytes: what isn't UTF-8 becomes U+FFFD. */
void jsontext_put_string(FILE *out, const char *text, size_t size);

#endif
