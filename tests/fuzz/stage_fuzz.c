/* Reaches what the runner reads of a stage: runner__output_parse(), runner__events_read() and
 * runner__line_parse(), runner__foreach_check() and the gathering of items, runner__json_check(),
 * and the masking of secrets in all of it. The first byte says which. */
#include "tests/fuzz/fuzz.h"
#include "tools/runner/events.h"
#include "tools/runner/files.h"
#include "tools/runner/foreach.h"
#include "tools/runner/json.h"
#include "tools/runner/mask.h"

#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

static const char nowhere[] = "/nonexistent";

static const runner__mask *secrets(void)
{
    static runner__mask mask;
    static const char *const list[] = {"hunter2", "aaaa", "abab", "s\xc3\xa9same", "a\"b\\c/d"};
    if (mask.count == 0) {
        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
            runner__mask_add(&mask, list[i]);
        }
    }
    return &mask;
}

/* Why something was refused is text that can be stored and shown. */
static void check_error(runner__text *error)
{
    must(error->size > 0 && strlen(error->data) == error->size);
    must(runner__utf8_valid(error->data, error->size));
    runner__text_free(error);
}

/* ---- JSON ---- */

static json_t *load(runner__slice text, json_error_t *error)
{
    return json_loadb(text.data, text.size,
                      JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, error);
}

/* Compared with a second parser: what one takes the other takes, but for depth, large numbers and
 * keys with a zero character; and without white space it is the same value. */
static void check_json(runner__slice text)
{
    const char *why = NULL;
    size_t at = 0;
    json_error_t error;
    const bool good = runner__json_check(text, &why, &at);
    json_t *other = load(text, &error);
    if (!good) {
        must(why != NULL && at <= text.size);
        /* The other one takes a zero byte for the end. */
        must(other == NULL || strstr(why, "levels") != NULL || memchr(text.data, 0, text.size));
    } else if (other == NULL) {
        const enum json_error_code code = json_error_code(&error);
        must(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    } else {
        runner__text compact = {0};
        runner__json_compact(text, &compact);
        must(memchr(compact.data, '\n', compact.size) == NULL);
        json_t *again = load((runner__slice){compact.data, compact.size}, &error);
        must(again != NULL && json_equal(other, again));
        runner__text twice = {0};
        runner__json_compact((runner__slice){compact.data, compact.size}, &twice);
        must(twice.size == compact.size && memcmp(twice.data, compact.data, twice.size) == 0);
        if (json_is_object(other)) {
            runner__json_iter iter = runner__json_iterate(text);
            runner__slice key, value;
            while (runner__json_next(&iter, &key, &value)) {
                runner__text name = {0};
                runner__json_decode(key, &name);
                const json_t *member =
                    json_object_getn(other, name.data == NULL ? "" : name.data, name.size);
                must(member != NULL);
                must(runner__json_check(value, &why, &at));
                runner__text_free(&name);
            }
        } else if (json_is_string(other)) {
            runner__text decoded = {0};
            runner__json_decode(text, &decoded);
            must(decoded.size == json_string_length(other));
            must(memcmp(decoded.size > 0 ? decoded.data : "", json_string_value(other),
                        decoded.size) == 0);
            runner__text_free(&decoded);
        }
        json_decref(again);
        runner__text_free(&compact);
        runner__text_free(&twice);
    }
    json_decref(other);
}

/* ---- outputs ---- */

static void check_outputs(runner__slice text)
{
    runner__outputs outputs = {0}, again = {0};
    runner__text error = {0}, first = {0}, second = {0};
    if (!runner__output_parse(text, nowhere, secrets(), &outputs, &error)) {
        check_error(&error);
        runner__outputs_free(&outputs);
        return;
    }
    must(error.size == 0);
    for (size_t i = 0; i < outputs.count; i++) {
        const runner__output *o = &outputs.items[i];
        const char *why;
        size_t at;
        must(o->key[0] != '\0' && strlen(o->key) <= RATOON_NAME_MAX);
        must(runner__utf8_valid(o->key, strlen(o->key)));
        must(runner__json_check((runner__slice){o->data, o->size}, &why, &at));
        must(memchr(o->data, '\n', o->size) == NULL);
        for (size_t j = 0; j < i; j++) {
            must(strcmp(outputs.items[j].key, o->key) != 0);
        }
    }
    /* As one object they read as themselves. */
    runner__outputs_json(&outputs, &first);
    must(!runner__mask_finds(secrets(), first.data, first.size));
    must(runner__output_parse((runner__slice){first.data, first.size}, nowhere, secrets(), &again,
                              &error));
    runner__outputs_json(&again, &second);
    must(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    runner__outputs_free(&outputs);
    runner__outputs_free(&again);
    runner__text_free(&first);
    runner__text_free(&second);
}

/* ---- events ---- */

static void on_line(void *ctx, const runner__line *line)
{
    runner__text *log = ctx;
    const char *why;
    size_t at;
    must(line->kind >= RUNNER__LINE_PROGRESS && line->kind <= RUNNER__LINE_EXTERNAL_REF);
    must((line->item != NULL) == (line->kind == RUNNER__LINE_ITEM));
    must(line->item == NULL ||
         (line->item[0] != '\0' && strlen(line->item) <= RATOON_ITEM_KEY_MAX &&
          runner__utf8_valid(line->item, strlen(line->item))));
    must(line->text == NULL || runner__utf8_valid(line->text, strlen(line->text)));
    must(line->value.size == 0 || runner__json_check(line->value, &why, &at));
    must(!(line->failed && line->committed));
    runner__text_format(
        log, "%d %llu %llu %s %s %zu %d%d\n", (int)line->kind, (unsigned long long)line->done,
        (unsigned long long)line->total, line->item == NULL ? "-" : line->item,
        line->text == NULL ? "-" : line->text, line->value.size, line->failed, line->committed);
}

/* What a stage writes by and by and what it writes at once are the same. */
static void check_events(fuzz_input *in)
{
    char path[64];
    runner__text whole = {0}, pieces = {0};
    runner__events one, by_and_by;
    const uint8_t step = fuzz_byte(in);
    const int fd = memfd_create("events", MFD_CLOEXEC);
    must(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(runner__events_open(&by_and_by, path, secrets()));
    while (in->left > 0) {
        size_t size = 1 + (size_t)step;
        const uint8_t *bytes = fuzz_bytes(in, &size);
        must(write(fd, bytes, size) == (ssize_t)size);
        must(runner__events_read(&by_and_by, false, on_line, &pieces));
        must(!runner__events_read(&by_and_by, false, on_line, &pieces));
    }
    (void)runner__events_read(&by_and_by, true, on_line, &pieces);
    must(runner__events_open(&one, path, secrets()));
    (void)runner__events_read(&one, true, on_line, &whole);
    must(whole.size == pieces.size && memcmp(whole.size == 0 ? "" : whole.data,
                                             whole.size == 0 ? "" : pieces.data, whole.size) == 0);
    must(one.line == by_and_by.line && one.broken.size == by_and_by.broken.size);
    must(one.raw.size == by_and_by.raw.size);
    if (one.broken.size > 0) {
        must(strcmp(one.broken.data, by_and_by.broken.data) == 0);
        must(runner__utf8_valid(one.broken.data, one.broken.size));
    }
    must(one.raw.size == 0 || !runner__mask_finds(secrets(), one.raw.data, one.raw.size));
    runner__events_close(&one);
    runner__events_close(&by_and_by);
    runner__text_free(&whole);
    runner__text_free(&pieces);
    close(fd);
}

/* ---- items ---- */

static void check_foreach(runner__slice array)
{
    static const char *const keys[] = {"a", "b"};
    uint64_t count = 0, seen = 0;
    runner__text error = {0};
    if (!runner__foreach_check(array, &count, &error)) {
        check_error(&error);
        return;
    }
    runner__foreach f = runner__foreach_begin(array);
    runner__gather both = runner__gather_new(keys, 2), single = runner__gather_new(keys, 1);
    bool room = true;
    while (runner__foreach_next(&f)) {
        runner__slice found;
        must(f.key[0] != '\0' && strlen(f.key) <= RATOON_ITEM_KEY_MAX);
        must(runner__foreach_find(array, f.key, &found) && found.data == f.value.data);
        room = room && runner__gather_add(&both, f.key, f.value, &error) &&
               runner__gather_add(&single, f.key, f.value, &error);
        seen++;
    }
    runner__foreach_end(&f);
    must(seen == count);
    if (room) {
        ratoon_value values[3];
        runner__gather_values(&both, values);
        runner__gather_values(&single, values + 2);
        for (size_t i = 0; i < 3; i++) {
            const char *why;
            size_t at;
            const runner__slice value = {values[i].data, values[i].size};
            must(runner__json_check(value, &why, &at) && runner__json_kind(value) == '{');
        }
    } else {
        check_error(&error);
    }
    runner__gather_free(&both);
    runner__gather_free(&single);
}

/* ---- masking ---- */

static void append(void *ctx, const char *data, size_t size)
{
    runner__text_add(ctx, data, size);
}

/* Text in pieces is masked as it is whole, and nothing secret is left. */
static void check_mask(fuzz_input *in)
{
    const uint8_t step = fuzz_byte(in);
    const char *text = (const char *)in->at;
    const size_t size = in->left;
    runner__text whole = {0}, begin = {0}, pieces = {0};
    runner__mask_stream stream = {.mask = secrets()};
    runner__mask_text(secrets(), text, size, &whole);
    runner__mask_begin(secrets(), text, size, &begin);
    for (size_t at = 0; at < size;) {
        const size_t part = size - at < 1u + step ? size - at : 1u + step;
        runner__mask_feed(&stream, text + at, part, false, append, &pieces);
        at += part;
    }
    runner__mask_feed(&stream, "", 0, true, append, &pieces);
    must(whole.size == pieces.size);
    must(whole.size == 0 || memcmp(whole.data, pieces.data, whole.size) == 0);
    must(begin.size <= whole.size);
    must(begin.size == 0 || memcmp(whole.data, begin.data, begin.size) == 0);
    must(whole.size == 0 || !runner__mask_finds(secrets(), whole.data, whole.size));
    must(size == 0 || runner__mask_finds(secrets(), text, size) ==
                          (whole.size != size || memcmp(whole.data, text, size) != 0));
    runner__mask_stream_free(&stream);
    runner__text_free(&whole);
    runner__text_free(&begin);
    runner__text_free(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *copy = fuzz_copy(data, size);
    fuzz_input in = {copy, size};
    const uint8_t what = fuzz_byte(&in);
    const runner__slice text = {(const char *)in.at, in.left};
    switch (what % 5) {
    case 0:
        check_outputs(text);
        break;
    case 1:
        check_events(&in);
        break;
    case 2:
        check_foreach(text);
        break;
    case 3:
        check_json(text);
        break;
    default:
        check_mask(&in);
        break;
    }
    free(copy);
    return 0;
}
