/* What the processors allow. */
#ifndef RATOON_LOG_PROCESSORS_H
#define RATOON_LOG_PROCESSORS_H

#include <stdbool.h>

/* Whether this thread, and so one that it starts, may run on two processors or more. */
bool ratoon__two_processors(void);

#endif
