#include "tools/runner/backoff.h"

#define DELAY_MAX_MS (366.0 * 24 * 3600 * 1000) /* bounds the arithmetic, not a policy */

bool runner__retry_allowed(const ratoon_retry_policy *policy, uint32_t attempts,
                           ratoon_class error_class)
{
    uint32_t classes = policy->classes;
    if (classes == 0) {
        classes = (1u << RATOON_CLASS_TRANSIENT) | (1u << RATOON_CLASS_TIMEOUT);
    }
    return attempts < policy->attempts && (classes & (1u << error_class)) != 0;
}

uint64_t runner__retry_delay_ms(const ratoon_retry_policy *policy, uint32_t attempts, double chance)
{
    double max = policy->max_ms > 0 ? (double)policy->max_ms : DELAY_MAX_MS;
    double delay = (double)policy->initial_ms;
    for (uint32_t i = 1; i < attempts && delay < max && policy->factor > 1; i++) {
        delay *= policy->factor;
    }
    for (uint32_t i = 1; i < attempts && delay >= 1 && policy->factor < 1; i++) {
        delay *= policy->factor;
    }
    if (delay > max) {
        delay = max;
    }
    delay *= 1 + policy->jitter * (2 * chance - 1);
    if (delay > max) {
        delay = max;
    }
    return delay > 0 ? (uint64_t)delay : 0;
}

uint64_t runner__retry_left_ms(const ratoon_retry_policy *policy, uint32_t attempts,
                               uint64_t not_before_us, uint64_t now_us)
{
    if (not_before_us <= now_us) {
        return 0;
    }
    const uint64_t left = (not_before_us - now_us) / 1000;
    const uint64_t most = runner__retry_delay_ms(policy, attempts, 1);
    return left < most ? left : most;
}
