#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_FILES_MAX = 16 };

static const uint64_t default_seed = 0x7261746f6f6e; /* "ratoon" */

static _Noreturn void die(const char *what, const char *path)
{
    fprintf(stderr, "support: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

static void *must(void *pointer)
{
    if (pointer == NULL) {
        die("out of", "memory");
    }
    return pointer;
}

char *support_path_join(const char *folder, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        die("out of", "memory");
    }
    return path;
}

char *support_temp_dir(const char *prefix)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || base[0] == '\0') {
        base = "/tmp";
    }
    char *real = realpath(base, NULL);
    if (real == NULL) {
        die("find TMPDIR", base);
    }
    char *template = NULL;
    if (asprintf(&template, "%s/%s.XXXXXX", real, prefix) < 0) {
        die("out of", "memory");
    }
    free(real);
    if (mkdtemp(template) == NULL) {
        die("make folder", template);
    }
    return template;
}

/* On the way down: a folder without permissions must be opened before it can be emptied. */
static int make_writable(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)walk;
    if ((type == FTW_D || type == FTW_DNR) && chmod(path, S_IRWXU) != 0 && errno != ENOENT) {
        die("chmod", path);
    }
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    if (remove(path) != 0 && errno != ENOENT) {
        die("remove", path);
    }
    return 0;
}

void support_remove(const char *path)
{
    if (nftw(path, make_writable, OPEN_FILES_MAX, FTW_PHYS) != 0 && errno != ENOENT) {
        die("walk", path);
    }
    if (nftw(path, remove_one, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        die("remove", path);
    }
}

void support_temp_dir_free(char *path)
{
    if (path != NULL) {
        support_remove(path);
        free(path);
    }
}

char *support_read_file(const char *path, size_t *size_out)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        die("open", path);
    }
    size_t capacity = 4096;
    size_t size = 0;
    char *data = must(malloc(capacity));
    for (;;) {
        if (capacity - size < 2) {
            capacity *= 2;
            data = must(realloc(data, capacity));
        }
        ssize_t got = read(descriptor, data + size, capacity - size - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            die("read", path);
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
    }
    close(descriptor);
    data[size] = '\0';
    if (size_out != NULL) {
        *size_out = size;
    }
    return data;
}

void support_write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wbe");
    if (file == NULL) {
        die("create", path);
    }
    if ((size > 0 && fwrite(data, 1, size, file) != size) || fclose(file) != 0) {
        die("write", path);
    }
}

int support_wait_until(int (*done)(void *context), void *context, uint32_t timeout_ms_max)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        if (done(context)) {
            return 1;
        }
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t elapsed_ms = (int64_t)(now.tv_sec - start.tv_sec) * 1000 +
                             (int64_t)(now.tv_nsec - start.tv_nsec) / 1000000;
        if (elapsed_ms >= (int64_t)timeout_ms_max) {
            return 0;
        }
        const struct timespec pause = {.tv_sec = 0, .tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
}

uint64_t support_seed(void)
{
    const char *text = getenv("RATOON_TEST_SEED");
    if (text == NULL || text[0] == '\0') {
        return default_seed;
    }
    char *end = NULL;
    errno = 0;
    uint64_t seed = strtoull(text, &end, 0);
    if (errno != 0 || *end != '\0') {
        fprintf(stderr, "support: RATOON_TEST_SEED is not a number: %s\n", text);
        abort();
    }
    return seed;
}

support_prng support_prng_new(uint64_t seed)
{
    return (support_prng){.state = seed};
}

uint64_t support_prng_next(support_prng *prng)
{
    uint64_t z = (prng->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t support_prng_below(support_prng *prng, uint64_t bound)
{
    if (bound == 0) {
        fprintf(stderr, "support: support_prng_below(0)\n");
        abort();
    }
    /* What lies below this limit would make the small results more likely. */
    uint64_t limit = (0 - bound) % bound;
    for (;;) {
        uint64_t value = support_prng_next(prng);
        if (value >= limit) {
            return value % bound;
        }
    }
}

void support_prng_fill(support_prng *prng, void *data, size_t size)
{
    unsigned char *bytes = data;
    while (size > 0) {
        uint64_t value = support_prng_next(prng);
        size_t part = size < sizeof value ? size : sizeof value;
        memcpy(bytes, &value, part);
        bytes += part;
        size -= part;
    }
}

int support_run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    /* CK_ENV reads CK_VERBOSITY; CK_FORK is read because no fork status is set here. */
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    int run = srunner_ntests_run(runner);
    srunner_free(runner);
    if (failed > 0) {
        fprintf(stderr, "repeat with RATOON_TEST_SEED=%" PRIu64 "\n", support_seed());
    }
    if (run == 0) {
        fprintf(stderr, "support: no test was run\n");
        return EXIT_FAILURE;
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void support_one_processor(bool one)
{
    static cpu_set_t all;
    cpu_set_t set;
    if (one) {
        CPU_ZERO(&set);
        if (sched_getaffinity(0, sizeof all, &all) != 0) {
            abort();
        }
        for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&set) == 0; i++) {
            if (CPU_ISSET(i, &all)) {
                CPU_SET(i, &set);
            }
        }
    }
    if (sched_setaffinity(0, sizeof set, one ? &set : &all) != 0) {
        abort();
    }
}
