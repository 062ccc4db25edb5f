/* Reaches ratoon__commit_peek(), ratoon__commit_decode() and ratoon__commit_encode(). */
#include "log/codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What decodes and can be written again reads as the same, and is then written the same. */
static void check_again(ratoon__encoder *e, const ratoon__commit *commit)
{
    const void *data = NULL;
    size_t size = 0;
    if (ratoon__commit_encode(e, commit, &data, &size, NULL) != RATOON_OK) {
        return; /* of a newer type, or too large */
    }
    void *copy = malloc(size);
    ratoon__arena arena = {0};
    ratoon__commit again;
    must(copy != NULL);
    memcpy(copy, data, size);
    must(ratoon__commit_decode(copy, size, &arena, &again, NULL) == RATOON_OK);
    const size_t first_size = size;
    must(ratoon__commit_encode(e, &again, &data, &size, NULL) == RATOON_OK);
    must(size == first_size && memcmp(copy, data, size) == 0);
    ratoon__arena_free(&arena);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ratoon__encoder *encoder;
    if (encoder == NULL) {
        encoder = ratoon__encoder_new();
        must(encoder != NULL);
    }
    void *copy = malloc(size > 0 ? size : 1);
    ratoon__arena arena = {0};
    ratoon__commit commit, head;
    ratoon_error error;
    must(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    if (ratoon__commit_decode(copy, size, &arena, &commit, &error) == RATOON_OK) {
        must(ratoon__commit_peek(copy, size, &head, NULL) == RATOON_OK);
        must(head.number == commit.number);
        check_again(encoder, &commit);
    }
    ratoon__arena_free(&arena);
    free(copy);
    return 0;
}
