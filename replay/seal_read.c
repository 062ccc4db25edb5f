/* Reading a seal (Q02). What stands in it is believed only after its signature was checked, so it
 * is taken apart strictly: one text has one reading. */
#include "replay/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char first_words[] = "ratoon seal ";

void ratoon__seal_free(ratoon__seal *s)
{
    ratoon_buffer_free(&s->text);
    ratoon_buffer_free(&s->signature);
}

/* ---- files ---- */

static ratoon_status unreadable(const char *what, const char *path, const char *why,
                                ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_USAGE, "can't read the %s %s: %s", what, path, why);
}

static ratoon_status read_all(int fd, size_t size, const char *what, const char *path,
                              ratoon_buffer *out, ratoon_error *error)
{
    char *data = malloc(size + 1);
    size_t at = 0;
    ssize_t got = 1;
    if (data == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    while (at < size && (got = read(fd, data + at, size - at)) > 0) {
        at += (size_t)got;
    }
    if (got < 0) {
        const int reason = errno;
        free(data);
        return unreadable(what, path, strerrordesc_np(reason), error);
    }
    data[at] = '\0';
    *out = (ratoon_buffer){.data = data, .size = at};
    return RATOON_OK;
}

static ratoon_status file_load(const char *what, const char *path, ratoon_buffer *out,
                               ratoon_error *error)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    ratoon_status status = RATOON_OK;
    if (fd < 0 || fstat(fd, &st) != 0) {
        status = unreadable(what, path, strerrordesc_np(errno), error);
    } else if (!S_ISREG(st.st_mode)) {
        status = unreadable(what, path, "it is no regular file", error);
    } else if ((size_t)st.st_size > RATOON__SEAL_SIZE_MAX) {
        status = unreadable(what, path, "it has more than 1 GiB", error);
    } else {
        status = read_all(fd, (size_t)st.st_size, what, path, out, error);
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

ratoon_status ratoon__seal_load(const char *path, ratoon__seal *out, ratoon_error *error)
{
    ratoon__seal s = {0};
    char *beside = NULL;
    if (asprintf(&beside, "%s%s", path, RATOON__SEAL_SIGNATURE_NAME) < 0) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status = file_load("seal", path, &s.text, error);
    if (status == RATOON_OK && (s.text.size < sizeof first_words - 1 ||
                                memcmp(s.text.data, first_words, sizeof first_words - 1) != 0)) {
        status = ratoon__fail(error, RATOON_ERR_USAGE,
                              "%s is no seal: it doesn't begin with \"ratoon seal\"", path);
    }
    if (status == RATOON_OK) {
        status = file_load("signature", beside, &s.signature, error);
        if (status != RATOON_OK) {
            ratoon__hint(error, "a seal and its signature lie side by side, as `seal` writes them");
        }
    }
    free(beside);
    if (status != RATOON_OK) {
        ratoon__seal_free(&s);
        return status;
    }
    *out = s;
    return RATOON_OK;
}

/* ---- words ---- */

typedef struct scanner {
    const char *text;
    size_t size, at;
    bool bad;
} scanner;

static void take(scanner *s, const char *expected)
{
    const size_t size = strlen(expected);
    s->bad = s->bad || s->size - s->at < size || memcmp(s->text + s->at, expected, size) != 0;
    s->at += s->bad ? 0 : size;
}

/* What stands before `end`, which is taken too. */
static const char *take_until(scanner *s, char end, size_t *size)
{
    const char *from = s->text + s->at;
    const char *to = s->bad ? NULL : memchr(from, end, s->size - s->at);
    s->bad = to == NULL;
    *size = s->bad ? 0 : (size_t)(to - from);
    s->at += s->bad ? 0 : *size + 1;
    return from;
}

/* Digits without a zero before them; nothing that JSON's whole numbers can't hold. */
static uint64_t take_number(scanner *s, char end)
{
    size_t size;
    uint64_t number = 0;
    const char *text = take_until(s, end, &size);
    s->bad = s->bad || size == 0 || size > 19 || (size > 1 && text[0] == '0');
    for (size_t i = 0; i < size && !s->bad; i++) {
        s->bad = text[i] < '0' || text[i] > '9';
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    s->bad = s->bad || number > INT64_MAX;
    return s->bad ? 0 : number;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void take_hex(scanner *s, uint8_t bytes[32], char end)
{
    size_t size;
    const char *text = take_until(s, end, &size);
    s->bad = s->bad || size != 64;
    for (size_t i = 0; i < 32 && !s->bad; i++) {
        const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        s->bad = high < 0 || low < 0;
        if (!s->bad) {
            bytes[i] = (uint8_t)(high << 4 | low);
        }
    }
}

static ratoon_id take_id(scanner *s, char end)
{
    ratoon_id id = {{0}};
    char text[RATOON_ID_TEXT], again[RATOON_ID_TEXT];
    size_t size;
    const char *from = take_until(s, end, &size);
    s->bad = s->bad || size != sizeof text - 1;
    if (!s->bad) {
        memcpy(text, from, size);
        text[size] = '\0';
        s->bad = ratoon_id_parse(text, &id) != RATOON_OK;
    }
    if (!s->bad) { /* ids have one spelling here */
        ratoon_id_format(id, again);
        s->bad = strcmp(text, again) != 0;
    }
    return id;
}

/* RFC 3339 with microseconds: it is shown, so nothing else may stand there. */
static void take_time(scanner *s, char time[RATOON__SEAL_TIME], char end)
{
    static const char form[RATOON__SEAL_TIME] = "0000-00-00T00:00:00.000000Z";
    size_t size;
    const char *text = take_until(s, end, &size);
    s->bad = s->bad || size != sizeof form - 1;
    for (size_t i = 0; i < sizeof form - 1 && !s->bad; i++) {
        s->bad = form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i];
    }
    if (!s->bad) {
        memcpy(time, text, size);
        time[size] = '\0';
    }
}

/* ---- the text ---- */

bool ratoon__seal_leaf_next(const ratoon__seal *s, size_t *at, ratoon__seal_leaf *out, bool *bad)
{
    scanner scan = {.text = s->text.data, .size = s->text.size, .at = *at};
    *bad = false;
    if (*at >= s->text.size) {
        return false;
    }
    out->lineage = take_id(&scan, ' ');
    out->number = take_number(&scan, ' ');
    take_hex(&scan, out->head.bytes, '\n');
    *bad = scan.bad || out->number == 0;
    *at = scan.at;
    return !*bad;
}

static ratoon_status garbled(const char *what, ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_DAMAGED, "the seal is garbled: %s", what);
}

static ratoon_status check_leaves(const ratoon__seal *s, ratoon_error *error)
{
    ratoon__merkle tree = {0};
    ratoon__seal_leaf leaf;
    ratoon_id last = {{0}};
    ratoon_digest root;
    size_t at = s->leaves;
    size_t start = at;
    bool bad = false;
    ratoon_status status = RATOON_OK;
    while (status == RATOON_OK && ratoon__seal_leaf_next(s, &at, &leaf, &bad)) {
        if (memcmp(leaf.lineage.bytes, last.bytes, sizeof last.bytes) <= 0) {
            return garbled("its lineages are not in order", error);
        }
        status = ratoon__merkle_add(&tree, s->text.data + start, at - start - 1);
        last = leaf.lineage;
        start = at;
    }
    if (bad || tree.leaves != s->lineages) {
        return garbled("it hasn't as many lineages as it says", error);
    }
    if (status == RATOON_OK) {
        status = ratoon__merkle_root(&tree, &root);
    }
    if (status != RATOON_OK) {
        return ratoon__fail(error, status, "out of memory");
    }
    return ratoon__digest_equal(&root, &s->root)
               ? RATOON_OK
               : garbled("its root is not that of its lineages", error);
}

ratoon_status ratoon__seal_parse(ratoon__seal *s, ratoon_error *error)
{
    scanner scan = {.text = s->text.data, .size = s->text.size};
    size_t size;
    take(&scan, first_words);
    const uint64_t format = take_number(&scan, '\n');
    if (!scan.bad && format != RATOON__SEAL_FORMAT) {
        return ratoon__fail(error, RATOON_ERR_UNSUPPORTED,
                            "the seal has format %U, this version reads %u", format,
                            (uint32_t)RATOON__SEAL_FORMAT);
    }
    take(&scan, "time ");
    take_time(&scan, s->time, '\n');
    take(&scan, "position ");
    s->position = take_number(&scan, '\n');
    take(&scan, "lineages ");
    s->lineages = take_number(&scan, '\n');
    take(&scan, "root ");
    take_hex(&scan, s->root.bytes, '\n');
    take(&scan, "key ");
    take_hex(&scan, s->key.bytes, '\n');
    take(&scan, "store-format ");
    (void)take_number(&scan, '\n');
    take(&scan, "writer ");
    (void)take_until(&scan, '\n', &size);
    take(&scan, "\n");
    s->leaves = scan.at;
    return scan.bad ? garbled("its first lines are not those of a seal", error)
                    : check_leaves(s, error);
}
