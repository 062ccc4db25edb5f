/* The command, that dies at a point: CRASH_STOP is "POINT N", CRASH_COUNTS a file of one count for
 * each point that all its processes share; they die when a point has been reached N times in all.
 * The command that is installed has none of this. */
#include "log/points.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int ratoon_main(int argc, char **argv); /* tools/ratoon/main.c */

static _Atomic uint64_t *counts;
static int stop_at = -1;
static uint64_t stop_time;

static void pass(ratoon__point point)
{
    if (atomic_fetch_add(&counts[point], 1) + 1 == stop_time && (int)point == stop_at) {
        (void)kill(getpid(), SIGKILL);
        for (;;) {
            pause();
        }
    }
}

static int list_points(void)
{
    for (int i = RATOON__STORE_POINTS; i < RATOON__POINTS; i++) {
        puts(ratoon__point_names[i]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--runner-points") == 0) {
        return list_points();
    }
    char name[64] = "";
    const char *stop = getenv("CRASH_STOP");
    const char *path = getenv("CRASH_COUNTS");
    const size_t size = RATOON__POINTS * sizeof *counts;
    const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
        void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        counts = shared == MAP_FAILED ? NULL : shared;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (counts == NULL || stop == NULL || sscanf(stop, "%63s %ju", name, &stop_time) != 2) {
        fputs("CRASH_STOP and CRASH_COUNTS are to be set\n", stderr);
        return 2;
    }
    for (int i = 0; i < RATOON__POINTS; i++) {
        if (strcmp(name, ratoon__point_names[i]) == 0) {
            stop_at = i;
        }
    }
    ratoon__point_hook = pass;
    return ratoon_main(argc, argv);
}
