#include "core/number.h"

#include "core/text.h"

#include <string.h>

enum {
    EXPONENT_MAX = 308,   /* of a double, about */
    EXACT_POWER_MAX = 22, /* powers of ten up to this are exact in a double */
    MANTISSA_DIGITS = 18, /* that surely fit into 64 bits */
    SHORTEST_DIGITS_MAX = 17,
    PLAIN_POINT_MIN = -5, /* plain notation from 0.000001 ... */
    PLAIN_POINT_MAX = 21, /* ... up to 21 digits before the point */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool ratoon__int_parse(const char *text, int64_t *out)
{
    const bool negative = *text == '-';
    const char *at = text + (negative ? 1 : 0);
    if (!is_digit(*at) || (*at == '0' && at[1] != '\0')) {
        return false;
    }
    const uint64_t max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t value = 0;
    for (; is_digit(*at); at++) {
        const uint64_t digit = (uint64_t)(*at - '0');
        if (value > (max - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (*at != '\0') {
        return false;
    }
    *out = negative && value > 0 ? -(int64_t)(value - 1) - 1 : (int64_t)value;
    return true;
}

void ratoon__int_format(int64_t value, char out[RATOON__NUMBER_TEXT])
{
    char text[21];
    const uint64_t size = value < 0 ? (uint64_t)(-(value + 1)) + 1 : (uint64_t)value;
    const char *digits = ratoon__decimal(size, text);
    if (value < 0) {
        *out++ = '-';
    }
    memcpy(out, digits, strlen(digits) + 1);
}

/* A decimal number in the text it was read from: 0.DIGITS times ten to the power of `point`, where
 * DIGITS leaves out the '.'; no zero at either end, none at all for zero. */
typedef struct decimal {
    bool negative;
    const char *first, *end; /* first and behind the last digit; a '.' may stand between them */
    int64_t point;
} decimal;

/* The exponent part; false where it is malformed. Huge ones saturate. */
static bool read_exponent(const char **text, int64_t *exponent)
{
    const char *at = *text;
    *exponent = 0;
    if (*at != 'e' && *at != 'E') {
        return true;
    }
    at++;
    const bool negative = *at == '-';
    at += *at == '-' || *at == '+' ? 1 : 0;
    if (!is_digit(*at)) {
        return false;
    }
    int64_t value = 0;
    for (; is_digit(*at); at++) {
        value = value < 1000000 ? value * 10 + (*at - '0') : value;
    }
    *exponent = negative ? -value : value;
    *text = at;
    return true;
}

static bool decimal_read(const char *text, decimal *out)
{
    decimal d = {.negative = *text == '-'};
    const char *whole = text + (d.negative ? 1 : 0);
    const char *at = whole;
    if (!is_digit(*at) || (*at == '0' && is_digit(at[1]))) {
        return false;
    }
    while (is_digit(*at)) {
        at++;
    }
    const int64_t whole_digits = at - whole;
    if (*at == '.') {
        at++;
        if (!is_digit(*at)) {
            return false;
        }
        while (is_digit(*at)) {
            at++;
        }
    }
    const char *end = at;
    int64_t exponent = 0;
    if (!read_exponent(&at, &exponent) || *at != '\0') {
        return false;
    }
    int64_t zeros = 0; /* leading ones */
    while (whole < end && (*whole == '0' || *whole == '.')) {
        zeros += *whole == '0' ? 1 : 0;
        whole++;
    }
    while (end > whole && (end[-1] == '0' || end[-1] == '.')) {
        end--;
    }
    d.first = whole;
    d.end = end;
    d.point = whole_digits - zeros + exponent;
    if (d.first == d.end) { /* zero has no sign and no exponent */
        d.negative = false;
        d.point = 0;
    }
    *out = d;
    return d.point <= EXPONENT_MAX && d.point >= -EXPONENT_MAX;
}

static double power_of_ten(unsigned exponent) /* up to EXACT_POWER_MAX */
{
    double power = 1;
    while (exponent-- > 0) {
        power *= 10;
    }
    return power;
}

static double scale(double value, int64_t exponent)
{
    while (exponent > EXACT_POWER_MAX) {
        value *= power_of_ten(EXACT_POWER_MAX);
        exponent -= EXACT_POWER_MAX;
    }
    while (exponent < -EXACT_POWER_MAX) {
        value /= power_of_ten(EXACT_POWER_MAX);
        exponent += EXACT_POWER_MAX;
    }
    return exponent >= 0 ? value * power_of_ten((unsigned)exponent)
                         : value / power_of_ten((unsigned)-exponent);
}

bool ratoon__number_parse(const char *text, double *out)
{
    decimal d;
    if (!decimal_read(text, &d)) {
        return false;
    }
    uint64_t mantissa = 0;
    int64_t digits = 0;
    for (const char *at = d.first; at < d.end && digits < MANTISSA_DIGITS; at++) {
        if (*at != '.') {
            mantissa = mantissa * 10 + (uint64_t)(*at - '0');
            digits++;
        }
    }
    const double value = scale((double)mantissa, d.point - digits);
    *out = d.negative ? -value : value;
    return true;
}

static char *put_zeros(char *at, int64_t count)
{
    for (; count > 0; count--) {
        *at++ = '0';
    }
    return at;
}

static char *put_exponent(char *at, int64_t exponent)
{
    char text[RATOON__NUMBER_TEXT];
    ratoon__int_format(exponent, text);
    *at++ = 'e';
    memcpy(at, text, strlen(text) + 1);
    return at + strlen(text);
}

/* Writes digits (no '.', `count` of them) with the point where it belongs. Needs room for them and
 * for 32 more characters. */
static void write_number(bool negative, const char *digits, int64_t count, int64_t point, char *at)
{
    if (negative) {
        *at++ = '-';
    }
    if (count == 0) {
        *at++ = '0';
    } else if (point > PLAIN_POINT_MAX || point < PLAIN_POINT_MIN) {
        *at++ = digits[0];
        if (count > 1) {
            *at++ = '.';
            memcpy(at, digits + 1, (size_t)count - 1);
            at += count - 1;
        }
        at = put_exponent(at, point - 1);
    } else if (point <= 0) {
        *at++ = '0';
        *at++ = '.';
        at = put_zeros(at, -point);
        memcpy(at, digits, (size_t)count);
        at += count;
    } else {
        const int64_t whole = point < count ? point : count;
        memcpy(at, digits, (size_t)whole);
        at = put_zeros(at + whole, point - whole);
        if (whole < count) {
            *at++ = '.';
            memcpy(at, digits + whole, (size_t)(count - whole));
            at += count - whole;
        }
    }
    *at = '\0';
}

const char *ratoon__number_canonical(const char *text, ratoon__arena *arena)
{
    decimal d;
    if (!decimal_read(text, &d)) {
        return NULL;
    }
    const size_t length = (size_t)(d.end - d.first);
    char *digits = ratoon__arena_alloc(arena, length + 1);
    char *out = ratoon__arena_alloc(arena, length + RATOON__NUMBER_TEXT);
    if (digits == NULL || out == NULL) {
        return NULL;
    }
    int64_t count = 0;
    for (const char *at = d.first; at < d.end; at++) {
        if (*at != '.') {
            digits[count++] = *at;
        }
    }
    write_number(d.negative, digits, count, d.point, out);
    return out;
}

/* The whole number next to a positive value below 2^63. */
static uint64_t nearest(double value)
{
    const uint64_t floor = (uint64_t)value;
    return value - (double)floor >= 0.5 ? floor + 1 : floor;
}

void ratoon__number_format(double value, char out[RATOON__NUMBER_TEXT])
{
    const bool negative = value < 0;
    const double size = negative ? -value : value;
    if (size == 0) {
        write_number(false, "", 0, 0, out);
        return;
    }
    int64_t point = 0; /* 0.1 <= size / 10^point < 1 */
    while (point < EXPONENT_MAX && scale(size, -point) >= 1) {
        point++;
    }
    while (point > -EXPONENT_MAX && scale(size, -point) < 0.1) {
        point--;
    }
    for (int64_t count = 1; count <= SHORTEST_DIGITS_MAX; count++) {
        uint64_t mantissa = nearest(scale(size, count - point));
        if (count < SHORTEST_DIGITS_MAX && scale((double)mantissa, point - count) != size) {
            continue;
        }
        int64_t digits = count;
        while (mantissa % 10 == 0 && mantissa > 0) { /* 9.99 rounded up, or a cut tail */
            mantissa /= 10;
            digits--;
        }
        char text[21];
        const char *first = ratoon__decimal(mantissa, text);
        const int64_t written = (int64_t)strlen(first);
        write_number(negative, first, written, point + (written - digits), out);
        return;
    }
}
