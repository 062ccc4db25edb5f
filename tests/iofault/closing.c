/* Closing while RocksDB recovers from want of room. The thread that has recovered is late to say
 * so, and meanwhile something more goes wrong and the store is closed: it must close all the same.
 * Without what log/rocksdb_listener.cc does, RocksDB 7.8 waits without end then. */
#include "tests/iofault/iofault.h"
#include "tests/support/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    LATE_MS = 3000, /* long enough for what the store does meanwhile; else nothing is shown */
    LOOKS_MAX = 6000,
    LOOK_NS = 10000000,
    APPENDS = 15, /* more than closing leaves in the log */
};

static const fault table_once = {.ops = 1u << HOOK_WRITE | 1u << HOOK_PWRITE,
                                 .nth = 1,
                                 .error = ENOSPC,
                                 .end = ".sst",
                                 .late_ms = LATE_MS};

static void append_some(trial *t)
{
    for (int i = 0; i < APPENDS; i++) {
        role_must(iofault_append(t) == RATOON_OK, t->error.message);
    }
}

/* Writes what is in memory to tables, with the fault, until RocksDB has found that there is no room
 * or, where that is wanted, its recovery is late. */
static void write_tables(trial *t, const char *backup, const fault *f, bool late)
{
    const struct timespec between = {.tv_nsec = LOOK_NS};
    fault_report report = {0};
    append_some(t);
    iofault_set(f);
    const ratoon_status status = ratoon_store_backup(t->store, backup, &t->error);
    role_must(status == RATOON_OK || status == RATOON_ERR_IO, t->error.message);
    for (int i = 0; i < LOOKS_MAX && (late ? report.late : report.looks) == 0; i++) {
        (void)nanosleep(&between, NULL);
        iofault_get(&report);
    }
    MUST(report.fired > 0);
    MUST(late ? report.late > 0 : report.looks > 0);
}

/* One table finds no room; RocksDB recovers from that by itself, and is late. */
static void recover_late(const iofault *io, trial *t)
{
    iofault_prepare(io, false, t);
    role_must(trial_open(t) == RATOON_OK, t->error.message);
    write_tables(t, t->other_path, &table_once, true);
}

static void close_while_late(trial *t)
{
    fault_report report;
    ratoon_store_close(t->store);
    t->store = NULL;
    iofault_get(&report);
    MUST(report.fired > 0);
    iofault_set(&(fault){0});
}

/* The log can't be written any more: the store is read-only, and is closed. */
static void behind_a_write(const iofault *io, trial *t)
{
    recover_late(io, t);
    fault f = table_once;
    (void)snprintf(f.end, sizeof f.end, ".log");
    f.lasting = true;
    iofault_set(&f);
    MUST(iofault_append(t) == RATOON_ERR_IO);
    MUST(iofault_append(t) == RATOON_ERR_READ_ONLY);
    close_while_late(t);
    iofault_open_and_check(t);
}

/* More tables find no room before closing has begun: RocksDB waits for a recovery that has ended.
 * The process goes on and ends, and to it the store is busy. */
static void behind_tables(const iofault *io, trial *t)
{
    recover_late(io, t);
    fault f = table_once;
    f.lasting = true;
    write_tables(t, t->third_path, &f, false);
    close_while_late(t);
    const ratoon_status status = trial_open(t);
    role_must(status == RATOON_OK || status == RATOON_ERR_STORE_BUSY, t->error.message);
    (void)printf("closing, behind tables without room: opened again by the same process: %s\n",
                 ratoon_status_name(status));
    if (status == RATOON_OK) {
        ratoon_store_close(t->store);
    }
    iofault_leave(io, t);
    exit(0); /* what RocksDB does then is part of it */
}

/* To another process it is as it was; and so are backups, which were not refused. */
static void by_another(const iofault *io, trial *t)
{
    iofault_find(io, t);
    iofault_open_and_check(t);
    t->known_count = 0;
    const char *const backups[] = {t->other_path, t->third_path};
    for (size_t i = 0; i < 2; i++) {
        if (access(backups[i], F_OK) == 0) {
            (void)snprintf(t->store_path, sizeof t->store_path, "%s", backups[i]);
            iofault_open_and_check(t);
        }
    }
}

int iofault_closing(const iofault *io)
{
    bool good = iofault_in_process(io, "closing, behind a failed write", behind_a_write);
    good = iofault_in_process(io, "closing, behind tables without room", behind_tables) && good;
    good = iofault_in_process(io, "closing, then another process", by_another) && good;
    return good ? 0 : 1;
}
