/* Helpers for test programs. Whatever fails here aborts: a test must not go on half set up. */
#ifndef RATOON_TESTS_SUPPORT_H
#define RATOON_TESTS_SUPPORT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes a new empty folder below TMPDIR (or /tmp), its name beginning with `prefix`. The path is
 * absolute and the caller's to free(). */
char *support_temp_dir(const char *prefix);

/* Removes a file or a folder with everything in it; never follows symbolic links. That the path
 * does not exist is fine. */
void support_remove(const char *path);

/* support_temp_dir's counterpart: removes the folder and frees the path. NULL is fine. */
void support_temp_dir_free(char *path);

/* Reads a whole file. The result is the caller's to free(); a zero byte that `size_out` does not
 * count follows the data. `size_out` may be NULL. */
char *support_read_file(const char *path, size_t *size_out);

/* Creates or replaces a file. */
void support_write_file(const char *path, const void *data, size_t size);

/* "a/b" from "a" and "b"; the caller's to free(). */
char *support_path_join(const char *folder, const char *name);

/* Waits until `done(context)` is true; false if it is not within `timeout_ms_max`. Polls each
 * millisecond: for conditions of other processes that nothing announces. */
int support_wait_until(int (*done)(void *context), void *context, uint32_t timeout_ms_max);

/* Keeps this thread, and those it starts from now on, to one processor; false: to all again. */
void support_one_processor(bool one);

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014): deterministic for a seed. */
typedef struct {
    uint64_t state;
} support_prng;

/* The seed of this test run: RATOON_TEST_SEED (decimal or 0x…) if set, else a fixed default, so
 * that a plain run is repeatable. The runner prints it when a test failed. */
uint64_t support_seed(void);

support_prng support_prng_new(uint64_t seed);
uint64_t support_prng_next(support_prng *prng);
/* Uniform in [0, bound); `bound` must not be 0. */
uint64_t support_prng_below(support_prng *prng, uint64_t bound);
void support_prng_fill(support_prng *prng, void *data, size_t size);

/* Runs a suite and returns the exit status for main(). Honours CK_FORK and Check's other
 * variables (CK_RUN_SUITE, CK_RUN_CASE, CK_VERBOSITY). */
int support_run_suite(Suite *suite);

#define RATOON_TEST_MAIN(suite_fn)                                                                 \
    int main(void)                                                                                 \
    {                                                                                              \
        return support_run_suite(suite_fn());                                                      \
    }

#endif
