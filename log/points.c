#include "log/points.h"

void (*ratoon__point_hook)(ratoon__point point);

const char *const ratoon__point_names[RATOON__POINTS] = {
#define X(name, text) [RATOON__POINT_##name] = text,
    RATOON__STORE_POINT_LIST(X) RATOON__RUNNER_POINT_LIST(X)
#undef X
};
