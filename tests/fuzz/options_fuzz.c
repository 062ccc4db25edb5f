/* Reaches the reading of a command line: args_read() with every command's options, args_number(),
 * args_pairs(), text_parse_duration(), text_parse_time(), and how what is wrong is told. The input
 * is words, each ended by a zero byte. */
#include "tests/fuzz/fuzz.h"
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/text.h"

#include <time.h>

enum { WORDS_MAX = 24 };

#define NOW_US (UINT64_C(1800000000) * 1000000)

/* What goes to standard output and standard error meanwhile. */
typedef struct captured {
    char *out, *err;
    size_t out_size, err_size;
    FILE *old_out, *old_err;
} captured;

static void capture_begin(captured *c)
{
    *c = (captured){.old_out = stdout, .old_err = stderr};
    stdout = open_memstream(&c->out, &c->out_size);
    stderr = open_memstream(&c->err, &c->err_size);
    must(stdout != NULL && stderr != NULL);
}

static void capture_end(captured *c)
{
    must(fclose(stdout) == 0 && fclose(stderr) == 0);
    stdout = c->old_out;
    stderr = c->old_err;
}

/* Lines of text that do nothing to a terminal. */
static void check_harmless(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        const size_t length = text_character(text + at, size - at);
        must(length > 0);
        must(length > 1 || text[at] == '\n' ||
             ((unsigned char)text[at] >= 0x20 && text[at] != 0x7f));
        at += length;
    }
}

/* A refusal is told once on standard error, and as one document where that was asked for. */
static void check_told(const captured *c, int code, bool json)
{
    must(code == EXIT_USAGE);
    must(c->err_size > 0 && memmem(c->err, c->err_size, "ratoon: USAGE: ", 15) != NULL);
    check_harmless(c->err, c->err_size);
    if (json) {
        json_t *document = json_loadb(c->out, c->out_size, 0, NULL);
        must(document != NULL);
        must(strcmp(json_string_value(json_object_get(json_object_get(document, "error"), "code")),
                    "USAGE") == 0);
        json_decref(document);
    } else {
        must(c->out_size == 0);
    }
}

static const command_option *find_option(const command_option *list, const char *name)
{
    for (; list != NULL && list->name != NULL; list++) {
        if (strcmp(list->name, name) == 0) {
            return list;
        }
    }
    return NULL;
}

/* Everything that was given is in the tables, with an argument where there must be one. */
static void check_given(const args *in)
{
    const command *c = args_command(in);
    const char *option = NULL, *value = NULL;
    must(c != NULL && command_find(c->name) == c);
    for (size_t i = 0; args_given(in, i, &option, &value); i++) {
        const command_option *o = find_option(c->options, option);
        o = o != NULL ? o : find_option(global_options, option);
        must(o != NULL && (o->argument != NULL) == (value != NULL));
        must(args_has(in, option) && args_times(in, option) > 0);
        must(value == NULL || args_nth(in, option, 0) != NULL);
        must(args_nth(in, option, args_times(in, option)) == NULL);
    }
    size_t least = 0, most = 0;
    command_arity(c, &least, &most);
    must(args_has(in, "help") || args_has(in, "version") ||
         (args_count(in) >= least && args_count(in) <= most));
    must(args_at(in, args_count(in)) == NULL);
}

/* The same once more, written as the manual would: every option long, with "=", before "--". */
static void check_again(const args *in)
{
    char *words[2 * WORDS_MAX + 8];
    int count = 0;
    const char *option = NULL, *value = NULL;
    const command *c = args_command(in);
    size_t given = 0;
    while (args_given(in, given, &option, &value)) {
        given++;
    }
    if (given + args_count(in) > 2 * WORDS_MAX) {
        return; /* many letters in one word */
    }
    words[count++] = text_copy("ratoon");
    words[count++] = text_copy(c->name);
    for (size_t i = 0; args_given(in, i, &option, &value); i++) {
        words[count++] =
            value == NULL ? text_format("--%s", option) : text_format("--%s=%s", option, value);
    }
    words[count++] = text_copy("--");
    for (size_t i = 0; i < args_count(in); i++) {
        words[count++] = text_copy(args_at(in, i));
    }
    words[count] = NULL;
    app a = {0};
    args *again = NULL;
    must(args_read(&a, count, words, &again) == -1);
    must(args_command(again) == c && args_count(again) == args_count(in));
    const char *option_again = NULL, *value_again = NULL;
    size_t i = 0;
    for (; args_given(in, i, &option, &value); i++) {
        must(args_given(again, i, &option_again, &value_again));
        must(strcmp(option, option_again) == 0);
        must(value == NULL || strcmp(value, value_again) == 0);
    }
    must(!args_given(again, i, &option_again, &value_again));
    for (i = 0; i < args_count(in); i++) {
        must(strcmp(args_at(in, i), args_at(again, i)) == 0);
    }
    args_free(again);
    for (int w = 0; w < count; w++) {
        free(words[w]);
    }
}

/* Numbers and pairs, of every option that was given. */
static void check_values(app *a, const args *in)
{
    const char *option = NULL, *value = NULL;
    for (size_t i = 0; args_given(in, i, &option, &value); i++) {
        if (value == NULL) {
            continue;
        }
        uint64_t number = 77;
        if (args_number(a, in, option, 3, 1000000, &number)) {
            char text[32];
            must(number >= 3 && number <= 1000000);
            snprintf(text, sizeof text, "%llu", (unsigned long long)number);
            const char *last = args_get(in, option);
            must(strcmp(last + strspn(last, "0"), text) == 0);
        } else {
            must(number == 77);
        }
        ratoon_pair *pairs = NULL;
        size_t count = 0;
        if (args_pairs(a, in, option, &pairs, &count)) {
            must(count == args_times(in, option));
            for (size_t j = 0; j < count; j++) {
                char *joined = text_format("%s=%s", pairs[j].name, pairs[j].value);
                must(pairs[j].name[0] != '\0' && strchr(pairs[j].name, '=') == NULL);
                must(strcmp(joined, args_nth(in, option, j)) == 0);
                free(joined);
            }
            pairs_free(pairs, count);
        }
    }
}

/* ---- times ---- */

static void check_duration(const char *text)
{
    uint64_t us = 77;
    char shown[TEXT_DURATION_MAX];
    if (!text_parse_duration(text, &us)) {
        must(us == 77);
        return;
    }
    must(text[0] >= '0' && text[0] <= '9');
    must(us <= UINT64_C(9000000000000000000));
    must(strlen(text_duration(us, shown)) < sizeof shown);
    if (us < UINT64_C(1) << 52) {
        uint64_t again = 0;
        snprintf(shown, sizeof shown, "%lluus", (unsigned long long)us);
        must(text_parse_duration(shown, &again) && again == us);
    }
}

/* A date is the one that was written. */
static void check_time(const char *text)
{
    uint64_t us = 77, again = 0;
    char written[64];
    if (!text_parse_time(text, NOW_US, &us)) {
        must(us == 77);
        return;
    }
    const time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    must(gmtime_r(&seconds, &tm) != NULL);
    if (tm.tm_year + 1900 > 9999) {
        return;
    }
    strftime(written, sizeof written, "%Y-%m-%dT%H:%M:%S", &tm);
    if (strlen(text) == 10 || (strlen(text) == 20 && text[10] == 'T' && text[19] == 'Z' &&
                               strncmp(text + 17, "60", 2) != 0)) {
        must(strchr(text, '-') == NULL || strncmp(text, written, 10) == 0);
        must(strlen(text) == 10 || strncmp(text, written, 19) == 0);
    }
    const size_t length = strlen(written);
    snprintf(written + length, sizeof written - length, ".%06lluZ",
             (unsigned long long)(us % 1000000));
    must(text_parse_time(written, NOW_US, &again) && again == us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAX + 2] = {text_copy("ratoon")};
    int count = 1;
    fuzz_input in = {data, size};
    while (in.left > 0 && count <= WORDS_MAX) {
        words[count++] = fuzz_string(&in);
    }
    app a = {0};
    args *read = NULL;
    captured c;
    capture_begin(&c);
    const int code = args_read(&a, count, words, &read);
    capture_end(&c);
    if (code < 0) {
        must(c.err_size == 0 && c.out_size == 0);
        check_given(read);
        check_again(read);
        free(c.out);
        free(c.err);
        capture_begin(&c);
        check_values(&a, read);
        capture_end(&c);
        check_harmless(c.err, c.err_size);
        args_free(read);
    } else {
        must(read == NULL);
        check_told(&c, code, a.json);
    }
    for (int i = 1; i < count; i++) {
        check_duration(words[i]);
        check_time(words[i]);
    }
    free(c.out);
    free(c.err);
    for (int i = 0; i < count; i++) {
        free(words[i]);
    }
    return 0;
}
