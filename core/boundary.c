/* Boundaries as text. */
#include "core/projection.h"

#include <string.h>

static ratoon_status no_such_stage(const ratoon_pipeline *p, const char *name, ratoon_error *error)
{
    ratoon__buf list = {0};
    for (size_t i = 0; i < p->stages_count; i++) {
        ratoon__buf_format(&list, "%s%s", i == 0 ? "" : ", ", p->stages[i].pub.name);
    }
    const ratoon_status status = ratoon__fail(error, RATOON_ERR_NO_SUCH_STAGE,
                                              "pipeline '%s' has no stage '%s'; its stages are: %s",
                                              p->name, name, list.failed ? "" : list.data);
    ratoon__buf_free(&list);
    return status;
}

static bool read_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        const uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return at > text && *at == '\0';
}

ratoon_status ratoon__boundary_parse(const ratoon_pipeline *p, const char *text,
                                     ratoon__boundary *out, ratoon_error *error)
{
    static const char before[] = "before:";
    static const char after[] = "after:";
    ratoon__boundary b = {0};
    const char *stage = NULL;
    if (strcmp(text, "start") == 0) {
        b.kind = RATOON__AT_START;
    } else if (strcmp(text, "end") == 0) {
        b.kind = RATOON__AT_END;
    } else if (strncmp(text, before, sizeof before - 1) == 0) {
        b.kind = RATOON__AT_BEFORE;
        stage = text + sizeof before - 1;
    } else if (strncmp(text, after, sizeof after - 1) == 0) {
        b.kind = RATOON__AT_AFTER;
        stage = text + sizeof after - 1;
    } else if (read_number(text, &b.event)) {
        b.kind = RATOON__AT_EVENT;
    } else {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "'%s' is no boundary; expected start, end, before:STAGE, after:STAGE "
                            "or an event number",
                            text);
    }
    if (stage != NULL) {
        const int32_t index = ratoon__pipeline_find(p, stage);
        if (index < 0) {
            return no_such_stage(p, stage, error);
        }
        b.stage = (uint32_t)index;
    }
    *out = b;
    return RATOON_OK;
}
