/* Events as one line of text each, for `log` and `watch`. */
#ifndef RATOON_TOOLS_EVENT_H
#define RATOON_TOOLS_EVENT_H

#include "tools/ratoon/doc.h"

/* What an event's data says, in short; free it. */
char *event_summary(const json_t *event);

#endif
