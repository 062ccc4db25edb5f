/* A disk that fills up and gets room again: appends are refused, nothing acknowledged is lost, what
 * is there can be read all the time, and it goes on once there is room. */
#include "tests/iofault/iofault.h"
#include "tests/support/limit.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ROOM = 24 << 20, /* of the disk that is said to be full behind so much */
    LITTLE_ROOM = 7 << 20,
    DISK_MB = 64, /* of the one that is mounted */
    VALUE = 400 << 10,
    APPENDS_MAX = 1000,
    HANG_S = 240,
};

static char value[VALUE];
static support_prng prng;

ratoon_status iofault_append(trial *t)
{
    ratoon_created run;
    const ratoon_pair token = {"token", "hush, hush"};
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    support_prng_fill(&prng, value, sizeof value);
    const ratoon_value state = {.key = "large",
                                .data = value,
                                .size = sizeof value,
                                .media_type = "application/octet-stream"};
    options.pipeline = t->pipeline;
    options.params = &token;
    options.params_count = 1;
    options.state = &state;
    options.state_count = 1;
    const ratoon_status status = ratoon_run_create(t->store, &options, &run, &t->error);
    if (status == RATOON_OK && t->known_count == KNOWN_MAX) { /* the newest ones matter */
        memmove(&t->known[KNOWN_MAX / 2], &t->known[KNOWN_MAX / 2 + 1],
                (KNOWN_MAX / 2 - 1) * sizeof t->known[0]);
        t->known_count--;
    }
    trial_know(t, run.run, -1, status, 0);
    return status;
}

static ratoon_status append_until_refused(trial *t)
{
    ratoon_status status = RATOON_OK;
    for (int i = 0; i < APPENDS_MAX && status == RATOON_OK; i++) {
        status = iofault_append(t);
    }
    role_must(status == RATOON_ERR_IO || status == RATOON_ERR_READ_ONLY, t->error.message);
    return status;
}

static void check_known(trial *t)
{
    char wrong[1000];
    iofault_check_known(t, wrong, sizeof wrong);
    role_must(wrong[0] == '\0', wrong);
}

static void check_whole(trial *t)
{
    ratoon_buffer report = {0};
    size_t problems = 0;
    role_must(ratoon_verify(t->store, (ratoon_id){{0}}, &report, &problems, &t->error) == RATOON_OK,
              t->error.message);
    role_must(problems == 0, report.data);
    ratoon_buffer_free(&report);
}

static void close_store(trial *t)
{
    ratoon_store_close(t->store);
    t->store = NULL;
}

static void open_store(trial *t)
{
    role_must(trial_open(t) == RATOON_OK, t->error.message);
}

void iofault_open_and_check(trial *t)
{
    open_store(t);
    check_known(t);
    role_must(iofault_append(t) == RATOON_OK, t->error.message);
    check_whole(t);
    close_store(t);
}

/* Writes fail although the disk says that it has room, as with quotas. */
static void unexpectedly_full(const iofault *io, trial *t)
{
    const fault full = {.room = ROOM};
    iofault_prepare(io, false, t);
    open_store(t);
    iofault_set(&full);
    (void)append_until_refused(t);
    role_must(strstr(t->error.hint, "room") != NULL || strstr(t->error.hint, "open it") != NULL,
              "it does not say what to do");
    check_known(t);
    role_must(iofault_append(t) == RATOON_ERR_READ_ONLY, "it goes on behind a failed write");
    role_must(strstr(t->error.hint, "open it again") != NULL, "it does not say what to do");
    iofault_set(&(fault){0});
    check_known(t);
    close_store(t);
    iofault_open_and_check(t);
}

/* The disk says how much room it has: appends are refused in time, and the store stays whole. */
static void foreseeably_full(const iofault *io, trial *t)
{
    const fault full = {.room = ROOM + (16 << 20), .room_known = true};
    iofault_prepare(io, false, t);
    open_store(t);
    iofault_set(&full);
    role_must(append_until_refused(t) == RATOON_ERR_IO, t->error.message);
    MUST(t->error.backend_code == ENOSPC);
    check_known(t);
    iofault_set(&(fault){0});
    role_must(iofault_append(t) == RATOON_OK, t->error.message); /* without opening it again */
    iofault_set(&full);
    (void)append_until_refused(t);
    close_store(t);
    /* With too little room for what opening adds for runs that were running it can be read. */
    const fault little = {.room = LITTLE_ROOM, .room_known = true};
    iofault_set(&little);
    open_store(t);
    check_known(t);
    role_must(iofault_append(t) == RATOON_ERR_IO, t->error.message);
    close_store(t);
    iofault_set(&(fault){0});
    iofault_open_and_check(t);
}

static void fill_disk(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    MUST(fd >= 0);
    while (write(fd, value, sizeof value) > 0) {
    }
    while (write(fd, value, 1) > 0) {
    }
    close(fd);
}

/* A real file system: appends until it refuses, somebody else takes the rest, the store is opened
 * on the full disk, read, closed, and goes on once there is room. */
static void really_full(const iofault *io, trial *t)
{
    char filler[4200];
    iofault_prepare(io, false, t);
    (void)snprintf(filler, sizeof filler, "%s/filler", t->folder);
    open_store(t);
    (void)append_until_refused(t);
    check_known(t);
    fill_disk(filler);
    MUST(iofault_append(t) != RATOON_OK);
    check_known(t);
    close_store(t);
    open_store(t); /* what the ballast is for */
    check_known(t);
    MUST(iofault_append(t) != RATOON_OK);
    close_store(t);
    MUST(unlink(filler) == 0);
    iofault_open_and_check(t);
}

bool iofault_in_process(const iofault *io, const char *name,
                        void (*act)(const iofault *io, trial *t))
{
    int status = 1;
    const pid_t pid = fork();
    if (pid == 0) {
        static trial t;
        prng = support_prng_new(io->seed);
        support_limit_life(HANG_S);
        act(io, &t);
        _exit(0);
    }
    const bool good = waitpid(pid, &status, 0) == pid && status == 0;
    (void)printf("%s: %s\n", name, good ? "passed" : "FAILED");
    (void)fflush(stdout);
    return good;
}

int iofault_full_disk(const iofault *io)
{
    char options[64];
    bool good = iofault_in_process(io, "full disk, unexpectedly", unexpectedly_full);
    good = iofault_in_process(io, "full disk, foreseeably", foreseeably_full) && good;
    char *mounted = support_path_join(io->work, "disk");
    const iofault on_disk = {.work = mounted, .seed = io->seed};
    (void)snprintf(options, sizeof options, "size=%dm,mode=0700", (int)DISK_MB);
    if (mkdir(mounted, S_IRWXU) == 0 && mount("tmpfs", mounted, "tmpfs", 0, options) == 0) {
        good = iofault_template(&on_disk, false) && good;
        good = iofault_in_process(&on_disk, "full disk, a small one", really_full) && good;
        good = umount2(mounted, MNT_DETACH) == 0 && good;
    } else {
        (void)printf("full disk, a small one: not done: mounting one needs root\n");
    }
    (void)rmdir(mounted);
    free(mounted);
    return good ? 0 : 1;
}
