/* The delay before the next attempt of a stage (A04). */
#ifndef RATOON_TOOLS_RUNNER_BACKOFF_H
#define RATOON_TOOLS_RUNNER_BACKOFF_H

#include <ratoon.h>

/* Whether the policy gives a stage another attempt after `attempts` of them, the last of which
 * failed with the class. */
bool runner__retry_allowed(const ratoon_retry_policy *policy, uint32_t attempts,
                           ratoon_class error_class);
/* min(initial * factor^(attempts - 1), max), then shortened or lengthened by up to its share
 * `jitter`, never above max (where there is one). chance: uniform in [0, 1). */
uint64_t runner__retry_delay_ms(const ratoon_retry_policy *policy, uint32_t attempts,
                                double chance);
/* What is left of a delay that was recorded as a time of the clock, which may have been set back
 * meanwhile: never more than the policy gives. */
uint64_t runner__retry_left_ms(const ratoon_retry_policy *policy, uint32_t attempts,
                               uint64_t not_before_us, uint64_t now_us);

#endif
