#include "core/id.h"

#include <string.h>

ratoon_id ratoon__id_next(ratoon__id_state *state, uint64_t now_us, const uint8_t random[10])
{
    const uint64_t now_ms = now_us / 1000;
    /* The top bit of a fresh start is 0, so that at least 2,048 ids follow within a millisecond
     * before the time has to be borrowed from the next one. */
    const uint16_t start = (uint16_t)((((unsigned)random[0] << 8) | random[1]) & 0x7ff);
    if (now_ms > state->last_ms) {
        state->last_ms = now_ms;
        state->counter = start;
    } else if (state->counter < 0xfff) {
        state->counter++;
    } else {
        state->last_ms++;
        state->counter = start;
    }
    ratoon_id id;
    for (unsigned i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)(state->last_ms >> (40 - 8 * i));
    }
    id.bytes[6] = (uint8_t)(0x70 | (state->counter >> 8));
    id.bytes[7] = (uint8_t)state->counter;
    memcpy(id.bytes + 8, random + 2, 8);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

int ratoon__id_compare(ratoon_id a, ratoon_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes);
}

bool ratoon_id_is_zero(ratoon_id id)
{
    const ratoon_id zero = {{0}};
    return ratoon_id_equal(id, zero);
}

bool ratoon_id_equal(ratoon_id a, ratoon_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static bool dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void ratoon_id_format(ratoon_id id, char text[RATOON_ID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (dash_before(i)) {
            *at++ = '-';
        }
        *at++ = digits[id.bytes[i] >> 4];
        *at++ = digits[id.bytes[i] & 15];
    }
    *at = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ratoon_status ratoon_id_parse(const char *text, ratoon_id *out)
{
    if (text == NULL || out == NULL) {
        return RATOON_ERR_USAGE;
    }
    ratoon_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (dash_before(i) && *text++ != '-') {
            return RATOON_ERR_USAGE;
        }
        const int high = hex_value(text[0]);
        const int low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0) {
            return RATOON_ERR_USAGE;
        }
        id.bytes[i] = (uint8_t)(high * 16 + low);
        text += 2;
    }
    if (*text != '\0') {
        return RATOON_ERR_USAGE;
    }
    *out = id;
    return RATOON_OK;
}
