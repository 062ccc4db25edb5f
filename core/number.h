/* Numbers as text, without the C library's conversions: the grammar of JSON, one text for one
 * value. */
#ifndef RATOON_CORE_NUMBER_H
#define RATOON_CORE_NUMBER_H

#include "core/mem.h"

#define RATOON__NUMBER_TEXT 40 /* bytes of a canonical number that was computed, with its NUL */

/* A whole number: optional minus, digits without leading zeros. False where it is none or does not
 * fit. */
bool ratoon__int_parse(const char *text, int64_t *out);
void ratoon__int_format(int64_t value, char out[RATOON__NUMBER_TEXT]);

/* A JSON number within the range of a double. The result is within a few units in the last place,
 * and exact up to 15 digits with an exponent up to 22. */
bool ratoon__number_parse(const char *text, double *out);
/* The shortest text that parses to the value again. Finite values only. */
void ratoon__number_format(double value, char out[RATOON__NUMBER_TEXT]);
/* The canonical text of a JSON number, digit for digit (no conversion to binary): no needless
 * zeros, plain from 1e-6 up to 1e21, else with an exponent. NULL where text is no number; also when
 * out of memory (then arena->failed). */
const char *ratoon__number_canonical(const char *text, ratoon__arena *arena);

#endif
