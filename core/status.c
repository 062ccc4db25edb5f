/* Names, texts and values of the closed sets. */
#include "core/event.h"

#include <string.h>

const char *ratoon_status_name(ratoon_status status)
{
    switch (status) {
    case RATOON_OK:
        return "OK";
#define X(name, value, exit_code, text)                                                            \
    case RATOON_ERR_##name:                                                                        \
        return #name;
        RATOON_STATUS_LIST(X)
#undef X
    }
    return "UNKNOWN";
}

const char *ratoon_status_text(ratoon_status status)
{
    switch (status) {
    case RATOON_OK:
        return "done";
#define X(name, value, exit_code, text)                                                            \
    case RATOON_ERR_##name:                                                                        \
        return text;
        RATOON_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

int ratoon_status_exit_code(ratoon_status status)
{
    switch (status) {
    case RATOON_OK:
        return 0;
#define X(name, value, exit_code, text)                                                            \
    case RATOON_ERR_##name:                                                                        \
        return exit_code;
        RATOON_STATUS_LIST(X)
#undef X
    }
    return 7;
}

const char *ratoon_run_status_name(ratoon_run_status status)
{
    switch (status) {
#define X(name, value, text)                                                                       \
    case RATOON_RUN_##name:                                                                        \
        return text;
        RATOON_RUN_STATUS_LIST(X)
#undef X
    }
    return "";
}

const char *ratoon_stage_status_name(ratoon_stage_status status)
{
    switch (status) {
#define X(name, value, text)                                                                       \
    case RATOON_STAGE_##name:                                                                      \
        return text;
        RATOON_STAGE_STATUS_LIST(X)
#undef X
    }
    return "";
}

const char *ratoon_class_name(ratoon_class error_class)
{
    switch (error_class) {
    case RATOON_CLASS_NONE:
        return "";
#define X(name, value)                                                                             \
    case RATOON_CLASS_##name:                                                                      \
        return #name;
        RATOON_CLASS_LIST(X)
#undef X
    }
    return "";
}

const char *ratoon__event_type_name(ratoon__event_type type)
{
    switch (type) {
#define X(name, value, text)                                                                       \
    case RATOON__EVENT_##name:                                                                     \
        return text;
        RATOON__EVENT_LIST(X)
#undef X
    }
    return "";
}

ratoon_run_status ratoon_run_status_parse(const char *name)
{
#define X(id, value, text)                                                                         \
    if (name != NULL && strcmp(name, text) == 0) {                                                 \
        return RATOON_RUN_##id;                                                                    \
    }
    RATOON_RUN_STATUS_LIST(X)
#undef X
    return (ratoon_run_status)0;
}

ratoon_stage_status ratoon_stage_status_parse(const char *name)
{
#define X(id, value, text)                                                                         \
    if (name != NULL && strcmp(name, text) == 0) {                                                 \
        return RATOON_STAGE_##id;                                                                  \
    }
    RATOON_STAGE_STATUS_LIST(X)
#undef X
    return (ratoon_stage_status)0;
}

ratoon_class ratoon_class_parse(const char *name)
{
#define X(id, value)                                                                               \
    if (name != NULL && strcmp(name, #id) == 0) {                                                  \
        return RATOON_CLASS_##id;                                                                  \
    }
    RATOON_CLASS_LIST(X)
#undef X
    return RATOON_CLASS_NONE;
}

bool ratoon_run_status_active(ratoon_run_status status)
{
    return status == RATOON_RUN_QUEUED || status == RATOON_RUN_RUNNING ||
           status == RATOON_RUN_CANCELLING;
}

bool ratoon_run_status_terminal(ratoon_run_status status)
{
    return status == RATOON_RUN_SUCCEEDED || status == RATOON_RUN_DEGRADED ||
           status == RATOON_RUN_FAILED || status == RATOON_RUN_CANCELLED;
}

bool ratoon_stage_status_done(ratoon_stage_status status)
{
    return status == RATOON_STAGE_SUCCEEDED || status == RATOON_STAGE_DEGRADED ||
           status == RATOON_STAGE_SKIPPED || status == RATOON_STAGE_REUSED;
}
