/* Reaches the reading of a seal: ratoon__seal_parse(), ratoon__seal_leaf_next() and the Merkle
 * tree; and ratoon__seal_leaf_format(). The input is a seal; and once more with the count and the
 * root that its lines have, because no fuzzer guesses a digest. */
#include "log/digest.h"
#include "replay/seal.h"
#include "tests/fuzz/fuzz.h"

enum { LINES_MAX = 64, HEADER_LINES = 9 };

typedef struct line {
    const char *text;
    size_t size;
} line;

/* ---- the tree once more, as RFC 6962, 2.1 has it ---- */

static ratoon_digest hash(const void *data, size_t size)
{
    ratoon_digest digest;
    must(ratoon__sha256(data, size, &digest) == RATOON_OK);
    return digest;
}

static ratoon_digest tree_hash(const line *leaves, size_t count)
{
    uint8_t bytes[1 + RATOON__SEAL_LEAF_MAX];
    if (count == 0) {
        return hash("", 0);
    }
    if (count == 1) {
        bytes[0] = 0;
        memcpy(bytes + 1, leaves->text, leaves->size);
        return hash(bytes, 1 + leaves->size);
    }
    size_t left = 1;
    while (2 * left < count) {
        left *= 2;
    }
    const ratoon_digest halves[2] = {tree_hash(leaves, left),
                                     tree_hash(leaves + left, count - left)};
    bytes[0] = 1;
    memcpy(bytes + 1, halves[0].bytes, 32);
    memcpy(bytes + 33, halves[1].bytes, 32);
    return hash(bytes, 65);
}

/* ---- what was read ---- */

static void format_digest(const uint8_t bytes[32], char out[65])
{
    ratoon_digest digest;
    memcpy(digest.bytes, bytes, 32);
    ratoon__digest_format(&digest, out);
}

/* What is shown of it can be written as JSON, and does nothing to a terminal. */
static void check_time(const char *time)
{
    static const char form[] = "0000-00-00T00:00:00.000000Z";
    must(strlen(time) == sizeof form - 1);
    for (size_t i = 0; i < sizeof form - 1; i++) {
        must(form[i] == '0' ? time[i] >= '0' && time[i] <= '9' : time[i] == form[i]);
    }
}

/* One text has one reading: written again it is the same. */
static void check_read(const ratoon__seal *s)
{
    char first[512], root[65], key[65];
    format_digest(s->root.bytes, root);
    format_digest(s->key.bytes, key);
    check_time(s->time);
    must(s->position <= INT64_MAX && s->lineages <= INT64_MAX);
    const int size = snprintf(
        first, sizeof first,
        "ratoon seal 1\ntime %s\nposition %llu\nlineages %llu\nroot %s\nkey %s\nstore-format ",
        s->time, (unsigned long long)s->position, (unsigned long long)s->lineages, root, key);
    must(size > 0 && (size_t)size < sizeof first && (size_t)size < s->leaves);
    must(memcmp(s->text.data, first, (size_t)size) == 0);
    must(memcmp(s->text.data + s->leaves - 2, "\n\n", 2) == 0);

    ratoon__seal_leaf leaf, last = {0};
    line *leaves = calloc((s->text.size - s->leaves) / RATOON_ID_TEXT + 1, sizeof *leaves);
    uint64_t count = 0;
    size_t at = s->leaves, start = at;
    bool bad = false;
    must(leaves != NULL);
    while (ratoon__seal_leaf_next(s, &at, &leaf, &bad)) {
        char again[RATOON__SEAL_LEAF_MAX];
        const size_t written = ratoon__seal_leaf_format(&leaf, again);
        must(leaf.number > 0 && written < sizeof again && at - start == written + 1);
        must(memcmp(s->text.data + start, again, written) == 0);
        must(memcmp(leaf.lineage.bytes, last.lineage.bytes, sizeof last.lineage.bytes) > 0);
        leaves[count++] = (line){s->text.data + start, written};
        last = leaf;
        start = at;
    }
    must(!bad && at == s->text.size && count == s->lineages);
    const ratoon_digest expected = tree_hash(leaves, count);
    must(ratoon__digest_equal(&expected, &s->root));
    free(leaves);
}

static ratoon_status read_seal(const void *text, size_t size, ratoon_error *error)
{
    ratoon__seal s = {.text = {.data = fuzz_copy(text, size), .size = size}};
    const ratoon_status status = ratoon__seal_parse(&s, error);
    if (status == RATOON_OK) {
        check_read(&s);
    } else {
        must(status == RATOON_ERR_DAMAGED || status == RATOON_ERR_UNSUPPORTED);
        must(error->code == status && error->message[0] != '\0');
    }
    free(s.text.data);
    return status;
}

/* ---- mended ---- */

static size_t lines_of(const char *text, size_t size, line *lines)
{
    size_t count = 0;
    for (size_t at = 0; at < size && count < LINES_MAX; count++) {
        const char *end = memchr(text + at, '\n', size - at);
        lines[count] = (line){text + at, end == NULL ? size - at : (size_t)(end - (text + at))};
        at += lines[count].size + 1;
    }
    return count;
}

static void read_mended(const char *text, size_t size)
{
    line lines[LINES_MAX];
    const size_t count = lines_of(text, size, lines);
    if (count < HEADER_LINES) {
        return;
    }
    char *mended = malloc(size + 256), number[64], root[80], hex[65];
    size_t at = 0;
    must(mended != NULL);
    for (size_t i = HEADER_LINES; i < count; i++) {
        if (lines[i].size > RATOON__SEAL_LEAF_MAX) {
            free(mended);
            return;
        }
    }
    const ratoon_digest digest = tree_hash(lines + HEADER_LINES, count - HEADER_LINES);
    ratoon__digest_format(&digest, hex);
    (void)snprintf(number, sizeof number, "lineages %zu", count - HEADER_LINES);
    (void)snprintf(root, sizeof root, "root %s", hex);
    lines[3] = (line){number, strlen(number)};
    lines[4] = (line){root, strlen(root)};
    for (size_t i = 0; i < count; i++) {
        memcpy(mended + at, lines[i].text, lines[i].size);
        at += lines[i].size;
        mended[at++] = '\n';
    }
    ratoon_error error = {0};
    if (read_seal(mended, at, &error) != RATOON_OK) {
        must(strstr(error.message, "its root") == NULL);
    }
    free(mended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ratoon_error error = {0};
    (void)read_seal(data, size, &error);
    read_mended((const char *)data, size);
    return 0;
}
