/* The true oracle: a file system on a loop device that is shut down under a working process, as
 * when power is lost, mounted again, and looked at. */
#include "tests/power/oracle.h"
#include "tests/power/power.h"
#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLAG_NO_LOG_FLUSH = 2, RECORD_BYTES_MAX = 100000, WAIT_MS_MAX = 20000 };
#define SHUTDOWN _IOR('X', 125, uint32_t) /* of ext4, XFS and f2fs */

typedef struct loop {
    const power *p;
    char *device, *mount, *root, *record, *copy;
    unsigned whole, failed, commits_last;
} loop;

/* Whether a command ended well. */
static bool command(const char *format, const char *a, const char *b)
{
    char text[9000];
    (void)snprintf(text, sizeof text, format, a, b);
    return system(text) == 0; /* NOLINT: paths are our own */
}

static bool is_mounted(const loop *l, bool make)
{
    return (!make || (command("truncate -s 400M '%s' && mkfs.ext4 -q -F '%s' >/dev/null 2>&1",
                              l->device, l->device))) &&
           command("mount -o loop '%s' '%s' 2>/dev/null", l->device, l->mount);
}

static size_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* Takes the power away; how much had been recorded by then. */
static size_t cut(const loop *l, int pid)
{
    const int fd = open(l->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t flags = FLAG_NO_LOG_FLUSH;
    const size_t told = size_of(l->record);
    if (fd < 0 || ioctl(fd, SHUTDOWN, &flags) != 0) {
        power_fail("the file system can't be shut down: %s", strerror(errno));
    }
    close(fd);
    (void)kill(pid, SIGKILL);
    (void)power_wait(pid);
    return told;
}

static bool unmount(const loop *l)
{
    for (int tries = 0; tries < 100; tries++) {
        if (command("umount '%s' 2>/dev/null%s", l->mount, "")) {
            return true;
        }
        (void)usleep(50000);
    }
    return false;
}

static void look(loop *l, const char *mode, size_t told, unsigned round)
{
    char text[4096];
    const ratoon_durability durability = RATOON_DURABILITY_SYNC;
    disk *d = disk_load(l->record, l->root, NULL, told);
    expect *e = expect_load(d, durability, false);
    const image_choice c = {.moment = d->moments};
    if (d->moments > 0) {
        support_remove(l->copy); /* looked at elsewhere, where syncs needn't be waited for */
        if (!command("cp -a '%s' '%s'", l->root, l->copy)) {
            power_fail("can't copy %s", l->root);
        }
        const oracle_verdict verdict =
            oracle_look(e, &c, l->root, l->copy, true, text, sizeof text);
        l->whole += verdict == ORACLE_HOLDS;
        if (verdict != ORACLE_HOLDS) {
            l->failed++;
            (void)printf("FAILED: round %u (%s): %s\n", round, mode, text);
        }
        (void)printf("round %u: %zu marks, %llu commits acknowledged\n", round, d->marks_count,
                     (unsigned long long)e->acked[d->moments]);
        (void)fflush(stdout);
    }
    expect_free(e);
    disk_free(d);
}

static bool round_of(loop *l, unsigned round)
{
    support_prng prng = support_prng_new(l->p->seed + round);
    support_remove(l->record);
    (void)unlink(l->device);
    if (!is_mounted(l, true)) {
        (void)printf("power loss on a loop device: not done: needs root, mkfs.ext4 and loop "
                     "devices\n");
        return false;
    }
    /* The folder that the store is made in was there before. */
    const int folder = mkdir(l->root, S_IRWXU) == 0 ? open(l->mount, O_RDONLY | O_CLOEXEC) : -1;
    if (folder < 0 || fsync(folder) != 0) {
        power_fail("can't make %s", l->root);
    }
    (void)close(folder);
    const int pid =
        power_start_workload(l->p, l->root, "sync", l->p->seed + round, l->record, true);
    const size_t far = (size_t)support_prng_below(&prng, RECORD_BYTES_MAX);
    for (int ms = 0; ms < WAIT_MS_MAX && size_of(l->record) < far; ms++) {
        (void)usleep(1000);
    }
    const size_t told = cut(l, pid);
    if (!unmount(l) || !is_mounted(l, false)) {
        power_fail("can't mount %s again", l->mount);
    }
    look(l, "sync", told, round);
    if (!unmount(l)) {
        power_fail("can't unmount %s", l->mount);
    }
    return true;
}

int power_loop(const power *p, unsigned rounds)
{
    loop l = {.p = p,
              .device = support_path_join(p->work, "device"),
              .mount = support_path_join(p->work, "mount"),
              .record = support_path_join(p->work, "record"),
              .copy = support_path_join(p->work, "copy")};
    l.root = support_path_join(l.mount, "root");
    int code = 0;
    if (mkdir(l.mount, S_IRWXU) != 0) {
        power_fail("can't make %s", l.mount);
    }
    unsigned done = 0;
    while (done < rounds && round_of(&l, done)) {
        done++;
    }
    if (done < rounds) {
        code = 77; /* as test runners say: skipped */
    } else {
        code = l.failed == 0 ? 0 : 1;
        (void)printf("power loss on a loop device: %s: seed %llu, %u rounds, %u whole, %u failed\n",
                     code == 0 ? "passed" : "FAILED", (unsigned long long)p->seed, done, l.whole,
                     l.failed);
    }
    free(l.device);
    free(l.mount);
    free(l.root);
    free(l.record);
    free(l.copy);
    return code;
}
