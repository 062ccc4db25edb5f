/* Reaches ratoon_pipeline_parse(), ratoon__pipeline_parse_canonical() and ratoon_pipeline_diff().
 */
#include "log/pipeline_file.h"
#include "tests/fuzz/fuzz.h"

/* The canonical form reads as itself. */
static void check_canonical(const ratoon_pipeline *p)
{
    ratoon_pipeline *again = NULL, *stored = NULL;
    ratoon_buffer lines = {0};
    size_t size = 0, again_size = 0;
    const char *text = ratoon_pipeline_canonical(p, &size);
    const ratoon_digest digest = ratoon_pipeline_digest(p);
    must(ratoon__pipeline_parse_canonical(text, size, NULL, &digest, &stored, NULL) == RATOON_OK);
    ratoon_pipeline_free(stored);
    if (size > RATOON__PIPELINE_FILE_MAX) {
        return;
    }
    must(ratoon_pipeline_parse(NULL, text, size, NULL, &again, NULL) == RATOON_OK);
    const char *again_text = ratoon_pipeline_canonical(again, &again_size);
    must(again_size == size && memcmp(text, again_text, size) == 0);
    must(ratoon_pipeline_diff(p, again, &lines, NULL) == RATOON_OK && lines.size == 0);
    ratoon_buffer_free(&lines);
    ratoon_pipeline_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ratoon_pipeline *p = NULL;
    ratoon_error error;
    memset(&error, 0, sizeof error);
    const ratoon_status status =
        ratoon_pipeline_parse("f", (const char *)data, size, "/", &p, &error);
    if (status == RATOON_OK) {
        check_canonical(p);
        ratoon_pipeline_free(p);
    } else {
        must(p == NULL && error.code == status && error.message[0] != '\0');
    }
    return 0;
}
