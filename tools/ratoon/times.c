/* Times and durations, read and written. */
#include "tools/ratoon/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

const char *text_duration(uint64_t us, char out[TEXT_DURATION_MAX])
{
    if (us == 0) {
        snprintf(out, TEXT_DURATION_MAX, "0s");
    } else if (us < 10000) {
        snprintf(out, TEXT_DURATION_MAX, "%.1fms", (double)us / 1000);
    } else if (us < SECOND) {
        snprintf(out, TEXT_DURATION_MAX, "%" PRIu64 "ms", us / 1000);
    } else if (us < 59950000) {
        snprintf(out, TEXT_DURATION_MAX, "%.1fs", (double)us / (double)SECOND);
    } else if (us < HOUR) {
        const uint64_t s = (us + SECOND / 2) / SECOND;
        snprintf(out, TEXT_DURATION_MAX, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    } else if (us < DAY) {
        const uint64_t m = us / MINUTE;
        snprintf(out, TEXT_DURATION_MAX, "%" PRIu64 "h%02" PRIu64 "m", m / 60, m % 60);
    } else {
        const uint64_t h = us / HOUR;
        snprintf(out, TEXT_DURATION_MAX, "%" PRIu64 "d%02" PRIu64 "h", h / 24, h % 24);
    }
    return out;
}

static const char *local(uint64_t us, const char *format, char out[TEXT_TIME_MAX])
{
    const time_t seconds = (time_t)(us / SECOND);
    struct tm tm;
    if (us == 0 || localtime_r(&seconds, &tm) == NULL ||
        strftime(out, TEXT_TIME_MAX, format, &tm) == 0) {
        out[0] = '\0';
    }
    return out;
}

const char *text_time(uint64_t us, char out[TEXT_TIME_MAX])
{
    return local(us, "%Y-%m-%d %H:%M:%S", out);
}

const char *text_clock(uint64_t us, char out[TEXT_TIME_MAX])
{
    return local(us, "%H:%M:%S", out);
}

const char *text_ago(uint64_t us, uint64_t now_us, char out[TEXT_TIME_MAX])
{
    const uint64_t past = now_us > us ? now_us - us : 0;
    if (past < 10 * SECOND) {
        snprintf(out, TEXT_TIME_MAX, "just now");
    } else if (past < MINUTE) {
        snprintf(out, TEXT_TIME_MAX, "%" PRIu64 "s ago", past / SECOND);
    } else if (past < HOUR) {
        snprintf(out, TEXT_TIME_MAX, "%" PRIu64 "m ago", past / MINUTE);
    } else if (past < 2 * DAY) {
        snprintf(out, TEXT_TIME_MAX, "%" PRIu64 "h ago", past / HOUR);
    } else {
        snprintf(out, TEXT_TIME_MAX, "%" PRIu64 "d ago", past / DAY);
    }
    return out;
}

const char *text_when(uint64_t us, uint64_t now_us, char out[TEXT_TIME_MAX])
{
    return text_terminal_width(STDOUT_FILENO) > 0 ? text_ago(us, now_us, out) : text_time(us, out);
}

static bool unit(const char **p, uint64_t *us)
{
    static const struct {
        const char *name;
        uint64_t us;
    } units[] = {
        {"ms", 1000}, {"us", 1},  {"s", SECOND},  {"m", MINUTE},
        {"h", HOUR},  {"d", DAY}, {"w", 7 * DAY},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const size_t length = strlen(units[i].name);
        if (strncmp(*p, units[i].name, length) == 0) {
            *p += length;
            *us = units[i].us;
            return true;
        }
    }
    return false;
}

bool text_parse_duration(const char *text, uint64_t *us)
{
    double total = 0;
    const char *p = text;
    if (*p == '\0') {
        return false;
    }
    while (*p != '\0') {
        if (*p < '0' || *p > '9') {
            return false;
        }
        char *end = NULL;
        const size_t digits = strspn(p, "0123456789.");
        const double number = strtod(p, &end);
        if (end != p + digits) {
            return false;
        }
        uint64_t factor = SECOND;
        const bool first = p == text;
        p = end;
        if (!unit(&p, &factor) && !(first && *p == '\0')) {
            return false;
        }
        total += number * (double)factor;
    }
    if (!(total < 9e18)) {
        return false;
    }
    *us = (uint64_t)(total + 0.5);
    return true;
}

/* Digits of a fixed width, then an expected character (0: none). */
static bool field(const char **p, int width, int *out, char behind)
{
    int value = 0;
    for (int i = 0; i < width; i++, (*p)++) {
        if (**p < '0' || **p > '9') {
            return false;
        }
        value = value * 10 + (**p - '0');
    }
    *out = value;
    if (behind != 0) {
        if (**p != behind) {
            return false;
        }
        (*p)++;
    }
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool parse_rfc3339(const char *p, uint64_t *us)
{
    struct tm tm = {0};
    if (!field(&p, 4, &tm.tm_year, '-') || !field(&p, 2, &tm.tm_mon, '-') ||
        !field(&p, 2, &tm.tm_mday, 0) || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
        tm.tm_mday < 1 || tm.tm_mday > days_of_month(tm.tm_year, tm.tm_mon)) {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    uint64_t micros = 0;
    long offset = 0;
    if (*p != '\0') {
        if (*p != 'T' && *p != 't' && *p != ' ') {
            return false;
        }
        p++;
        if (!field(&p, 2, &tm.tm_hour, ':') || !field(&p, 2, &tm.tm_min, ':') ||
            !field(&p, 2, &tm.tm_sec, 0) || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
            return false;
        }
        if (*p == '.') {
            uint64_t digit = SECOND / 10;
            if (p[1] < '0' || p[1] > '9') {
                return false;
            }
            for (p++; *p >= '0' && *p <= '9'; p++, digit /= 10) {
                micros += digit * (uint64_t)(*p - '0');
            }
        }
        if (*p == 'Z' || *p == 'z') {
            p++;
        } else if (*p == '+' || *p == '-') {
            const long sign = *p == '-' ? -1 : 1;
            int hours = 0, minutes = 0;
            p++;
            if (!field(&p, 2, &hours, ':') || !field(&p, 2, &minutes, 0) || hours > 23 ||
                minutes > 59) {
                return false;
            }
            offset = sign * (hours * 3600L + minutes * 60L);
        } else {
            return false;
        }
        if (*p != '\0') {
            return false;
        }
    }
    const time_t seconds = timegm(&tm) - offset;
    *us = seconds < 0 ? 0 : (uint64_t)seconds * SECOND + micros;
    return true;
}

bool text_parse_time(const char *text, uint64_t now_us, uint64_t *us)
{
    if (parse_rfc3339(text, us)) {
        return true;
    }
    char duration[64];
    size_t length = strlen(text);
    if (length > 4 && strcmp(text + length - 4, " ago") == 0) {
        length -= 4;
    }
    if (length >= sizeof duration) {
        return false;
    }
    memcpy(duration, text, length);
    duration[length] = '\0';
    uint64_t past = 0;
    if (!text_parse_duration(duration, &past)) {
        return false;
    }
    *us = past < now_us ? now_us - past : 1;
    return true;
}
