/* Named points of the code at which a test may stop the process: the crash harness (tests/crash)
 * kills it there, one point after the other, and fails if it never comes by one of them. Nothing
 * sets the hook but test programs: the command reads no variable for it, and the library doesn't
 * export it. Unset, a point is four instructions: a load of a global, a comparison with zero, a
 * jump that isn't taken. An append passes eight of them in its 42,000, so they stay in what is
 * shipped: what is tested is what is shipped. */
#ifndef RATOON_LOG_POINTS_H
#define RATOON_LOG_POINTS_H

#include <stddef.h>

/* X(NAME, text): the points of the library, each once. */
#define RATOON__STORE_POINT_LIST(X)                                                                \
    X(CREATE_FOLDER, "create.folder")   /* the temporary folder is made */                         \
    X(CREATE_FILLED, "create.filled")   /* all is in it and synced */                              \
    X(CREATE_RENAMED, "create.renamed") /* it has its name, which isn't synced */                  \
    X(FILE_WRITTEN, "file.written")     /* a small file, whole, under its temporary name */        \
    X(FILE_RENAMED, "file.renamed")                                                                \
    X(OPEN_LOCKED, "open.locked")       /* owner now, nothing looked at */                         \
    X(OPEN_LINKED, "open.linked")       /* log files are kept aside */                             \
    X(OPEN_RECOVERED, "open.recovered") /* RocksDB has read its log back */                        \
    X(OPEN_EXAMINED, "open.examined")   /* the log's end is judged */                              \
    X(OPEN_UNLINKED, "open.unlinked")   /* the log files kept aside are gone */                    \
    X(RECOVER_ROWS, "recover.rows")     /* one lineage's derived rows are made up for */           \
    X(RECOVER_BEGIN, "recover.begin")   /* all rows are; runs left running come next */            \
    X(RECOVER_RUN, "recover.run")       /* one of them is suspended */                             \
    X(RECOVER_END, "recover.end")                                                                  \
    X(APPEND_BEGIN, "append.begin")     /* before anything is in the batch */                      \
    X(APPEND_FEED, "append.feed")       /* all is in the batch but the feed row */                 \
    X(APPEND_WRITE, "append.write")     /* the batch is complete */                                \
    X(APPEND_WRITTEN, "append.written") /* written and, where the mode says so, synced */          \
    X(WITNESS_WRITE, "witness.write")   /* before the witness is written */                        \
    X(WITNESS_WRITTEN, "witness.written")                                                          \
    X(APPEND_PUBLISHED, "append.published") /* readers see it; nobody has an answer yet */         \
    X(COMMIT_ANSWER, "commit.answer")       /* just before the answers of a group */               \
    X(SYNC_DONE, "sync.done")               /* the log is synced by the clock or at the end */     \
    X(DERIVED_WRITE, "derived.write")       /* a batch of derived rows is complete */              \
    X(DERIVED_WRITTEN, "derived.written")                                                          \
    X(SNAPSHOT_WRITE, "snapshot.write")                                                            \
    X(SNAPSHOT_WRITTEN, "snapshot.written")                                                        \
    X(DELETE_COLLECTED, "delete.collected") /* what goes with a lineage is known… */             \
    X(DELETE_NOTED, "delete.noted")         /* …and written down */                              \
    X(DELETE_STAGED, "delete.staged")       /* the mark is in the batch */                         \
    X(DELETE_MARKED, "delete.marked")       /* the mark has taken the place of the commits */      \
    X(DELETE_FILES, "delete.files")         /* captured files are gone */                          \
    X(DELETE_SWEEP, "delete.sweep")         /* unused values are in a batch */                     \
    X(DELETE_SWEPT, "delete.swept")                                                                \
    X(DELETE_FORGOTTEN, "delete.forgotten") /* one note is gone */                                 \
    X(BACKUP_COPIED, "backup.copied")       /* captured files are copied */                        \
    X(BACKUP_DATABASE, "backup.database")   /* the database is */                                  \
    X(BACKUP_WITNESS, "backup.witness")     /* its witness is written */                           \
    X(RESTORE_COPIED, "restore.copied")                                                            \
    X(RESTORE_VERIFIED, "restore.verified")                                                        \
    X(CLOSE_BEGIN, "close.begin")                                                                  \
    X(CLOSE_SYNCED, "close.synced")                                                                \
    X(CLOSE_FLUSHED, "close.flushed")

/* Those of who executes stages: the executor, the spawner, a supervisor. */
#define RATOON__RUNNER_POINT_LIST(X)                                                               \
    X(RUN_STARTED, "run.started")               /* a stage's start is recorded, no process yet */  \
    X(RUN_SPAWNED, "run.spawned")               /* a process was asked for */                      \
    X(RUN_END, "run.end")                       /* all processes of an attempt have ended */       \
    X(RUN_ENDED, "run.ended")                   /* and that is recorded */                         \
    X(RUN_FINISH, "run.finish")                 /* nothing is left to do */                        \
    X(RUN_FINISHED, "run.finished")             /* and that is recorded */                         \
    X(SPAWNER_FORKED, "spawner.forked")         /* a supervisor is there */                        \
    X(SUPERVISE_LOCKED, "supervise.locked")     /* it has its lock, no command yet */              \
    X(SUPERVISE_STARTED, "supervise.started")   /* the command runs */                             \
    X(SUPERVISE_ENDED, "supervise.ended")       /* the command has ended, nobody knows */          \
    X(SUPERVISE_REPORTED, "supervise.reported") /* the executor knows, the lock is held */

typedef enum ratoon__point {
#define X(name, text) RATOON__POINT_##name,
    RATOON__STORE_POINT_LIST(X) RATOON__STORE_POINTS, /* so many; the others follow */
    RATOON__POINT_BEFORE_RUNNER = RATOON__STORE_POINTS - 1,
    RATOON__RUNNER_POINT_LIST(X)
#undef X
        RATOON__POINTS
} ratoon__point;

/* Set before any thread of the library runs, and never changed after. */
extern void (*ratoon__point_hook)(ratoon__point point);
extern const char *const ratoon__point_names[RATOON__POINTS];

static inline void ratoon__at(ratoon__point point)
{
    if (__builtin_expect(ratoon__point_hook != NULL, 0)) {
        ratoon__point_hook(point);
    }
}

#endif
