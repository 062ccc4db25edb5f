/* `state`: the values of a run at a boundary, or one of them. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/jsontext.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_SHOWN 200 /* columns of a value in a list for people */

static bool is_json(const ratoon_state_entry *e)
{
    char *why = NULL;
    const bool valid = strstr(e->media_type != NULL ? e->media_type : "json", "json") != NULL &&
                       jsontext_valid(e->data, e->size, &why);
    free(why);
    return valid;
}

static void put_json_value(FILE *out, const ratoon_state_entry *e)
{
    if (is_json(e)) {
        jsontext_put_compact(out, e->data, e->size);
    } else {
        jsontext_put_string(out, e->data, e->size);
    }
}

static void put_json_entry(const ratoon_state_entry *e, bool provenance)
{
    jsontext_put_string(stdout, e->key, strlen(e->key));
    putchar(':');
    if (!provenance) {
        put_json_value(stdout, e);
        return;
    }
    char id[RATOON_ID_TEXT];
    fputs("{\"value\":", stdout);
    put_json_value(stdout, e);
    ratoon_id_format(e->run, id);
    printf(",\"run\":\"%s\",\"stage\":", id);
    if (e->stage[0] != '\0') {
        jsontext_put_string(stdout, e->stage, strlen(e->stage));
        printf(",\"attempt\":%u", e->attempt);
    } else {
        fputs("null,\"attempt\":null", stdout); /* initial state or an edit */
    }
    fputs(",\"digest\":\"", stdout);
    for (size_t i = 0; i < sizeof e->digest.bytes; i++) {
        printf("%02x", e->digest.bytes[i]);
    }
    fputs("\"}", stdout);
}

/* A value by itself: JSON with line breaks, a string without its quotes, anything else as it is. A
 * terminal gets no control bytes. */
static void put_alone(const ratoon_state_entry *e)
{
    const bool terminal = isatty(STDOUT_FILENO) != 0;
    const char *text = e->data;
    size_t size = e->size;
    json_t *string = NULL;
    if (is_json(e)) {
        string = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!json_is_string(string)) {
            jsontext_put_pretty(stdout, text, size);
            putchar('\n');
            json_decref(string);
            return;
        }
        text = json_string_value(string);
        size = json_string_length(string);
    }
    if (terminal) {
        text_put(stdout, text, size, true);
    } else {
        fwrite(text, 1, size, stdout);
    }
    if (size == 0 || text[size - 1] != '\n') {
        putchar('\n');
    }
    json_decref(string);
}

/* `key = value`, long values cut. */
static void put_line(const ratoon_state_entry *e, bool provenance)
{
    char *value = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&value, &size);
    if (stream == NULL) {
        abort();
    }
    put_json_value(stream, e);
    fclose(stream);
    text_put_string(stdout, e->key);
    fputs(" = ", stdout);
    const bool terminal = isatty(STDOUT_FILENO) != 0;
    size_t shown = size;
    if (terminal && size > VALUE_SHOWN) {
        shown = VALUE_SHOWN;
        while (shown > 0 && ((unsigned char)value[shown] & 0xc0) == 0x80) {
            shown--;
        }
    }
    text_put(stdout, value, shown, false);
    if (shown < size) {
        printf("… (%zu bytes)", size);
    }
    if (provenance) {
        char id[RATOON_ID_TEXT];
        ratoon_id_format(e->run, id);
        fputs("\n    ", stdout);
        if (e->stage[0] != '\0') {
            fputs("from stage ", stdout);
            text_put_string(stdout, e->stage);
            printf(", attempt %u, of run %s", e->attempt, id);
        } else {
            printf("given to run %s", id);
        }
    }
    putchar('\n');
    free(value);
}

typedef struct request {
    ratoon_id run;
    const char *key, *boundary;
    bool provenance;
} request;

static int put_state(const app *a, const request *q, ratoon_state *state)
{
    bool found = false;
    if (a->json) {
        char id[RATOON_ID_TEXT];
        ratoon_id_format(q->run, id);
        printf("{\"schema\":1,\"run\":\"%s\",\"boundary\":", id);
        jsontext_put_string(stdout, q->boundary, strlen(q->boundary));
        fputs(",\"state\":{", stdout);
    }
    for (size_t i = 0; i < ratoon_state_count(state); i++) {
        ratoon_state_entry entry;
        ratoon_error error = {0};
        error.code = ratoon_state_get(state, i, &entry, &error);
        if (error.code != RATOON_OK) {
            if (a->json) {
                putchar('\n');
            }
            return app_fail(a, &error);
        }
        if (q->key != NULL && strcmp(q->key, entry.key) != 0) {
            continue;
        }
        if (a->json) {
            fputs(found ? "," : "", stdout);
            put_json_entry(&entry, q->provenance);
        } else if (q->key != NULL && !q->provenance) {
            put_alone(&entry);
        } else {
            put_line(&entry, q->provenance);
        }
        found = true;
    }
    if (a->json) {
        puts("}}");
    }
    return EXIT_DONE;
}

/* Whether the state has the key; a value that can't be read still is there. */
static bool has_key(ratoon_state *state, const char *key)
{
    for (size_t i = 0; i < ratoon_state_count(state); i++) {
        ratoon_state_entry entry;
        if (ratoon_state_get(state, i, &entry, NULL) != RATOON_OK || strcmp(entry.key, key) == 0) {
            return true;
        }
    }
    return false;
}

int command_state(app *a, const args *in)
{
    const char *at = args_get(in, "at");
    request q = {.key = args_at(in, 1),
                 .boundary = at != NULL ? at : "end",
                 .provenance = args_has(in, "provenance")};
    ratoon_state *state = NULL;
    ratoon_error error = {0};
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &q.run);
    }
    if (code >= 0) {
        return code;
    }
    error.code = ratoon_state_at(a->store, q.run, q.boundary, &state, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (q.key != NULL && !has_key(state, q.key)) {
        code = app_error(a, RATOON_ERR_NOT_FOUND, "`ratoon state RUN` shows all keys",
                         "the state at %s has no key \"%s\"", q.boundary, q.key);
    } else {
        code = put_state(a, &q, state);
    }
    ratoon_state_free(state);
    return code;
}
