/* Base64 as in RFC 4648, section 4. */
#include "replay/export.h"

#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define PIECE 3072 /* bytes encoded at a time; a multiple of 3 */

static size_t encode(const uint8_t *data, size_t size, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i += 3) {
        const uint32_t bits = (uint32_t)data[i] << 16 |
                              (i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0) |
                              (i + 2 < size ? (uint32_t)data[i + 2] : 0);
        out[n++] = alphabet[bits >> 18];
        out[n++] = alphabet[bits >> 12 & 63];
        out[n++] = i + 1 < size ? alphabet[bits >> 6 & 63] : '=';
        out[n++] = i + 2 < size ? alphabet[bits & 63] : '=';
    }
    return n;
}

void ratoon__base64_add(ratoon__buf *out, const void *data, size_t size)
{
    char piece[PIECE / 3 * 4];
    const uint8_t *bytes = data;
    for (size_t at = 0; at < size; at += PIECE) {
        const size_t take = size - at < PIECE ? size - at : PIECE;
        ratoon__buf_add(out, piece, encode(bytes + at, take, piece));
    }
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Only what encode() gives is accepted, so that equal bytes have one text. */
bool ratoon__base64_decode(const char *text, size_t length, void **out, size_t *size)
{
    *size = 0;
    if (length % 4 != 0) {
        return false;
    }
    size_t padding = 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=') {
        padding++;
    }
    uint8_t *bytes = malloc(length / 4 * 3 + 1);
    if (bytes == NULL) {
        *size = SIZE_MAX;
        return false;
    }
    size_t n = 0;
    bool good = true;
    for (size_t i = 0; good && i < length; i += 4) {
        const size_t missing = i + 4 == length ? padding : 0;
        uint32_t bits = 0;
        for (size_t k = 0; good && k < 4; k++) {
            const int value = k >= 4 - missing ? 0 : digit(text[i + k]);
            good = value >= 0;
            bits = bits << 6 | (uint32_t)(good ? value : 0);
        }
        good =
            good && (missing != 1 || (bits & 0xFF) == 0) && (missing != 2 || (bits & 0xFFFF) == 0);
        for (size_t k = 0; good && k < 3 - missing; k++) {
            bytes[n++] = (uint8_t)(bits >> (16 - 8 * k));
        }
    }
    if (!good) {
        free(bytes);
        return false;
    }
    *out = bytes;
    *size = n;
    return true;
}
