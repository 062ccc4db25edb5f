/* The folder a store lives in: what is where, how it comes into being whole or not at all, who owns
 * it, and how much room is left on its disk.
 *
 *   STORE/format      "ratoon store\nformat 1\n"
 *   STORE/db/         RocksDB
 *   STORE/witness     the last acknowledged position (log/witness.h)
 *   STORE/ballast     room kept for reopening on a full disk
 *   STORE/executors/  lock files of executors     STORE/output/  captured output
 *   STORE/work/       files of running stages     STORE/locks/   `owner`: flock of the owner
 *   STORE/deleting/   what deleted lineages leave outside the log (log/leftovers.h)
 *   STORE/damaged-T/  log files kept aside when T (UTC) they were found damaged
 *   STORE/damage      what was lost, until somebody accepts the loss
 */
#ifndef RATOON_LOG_FOLDER_H
#define RATOON_LOG_FOLDER_H

#include "core/mem.h"

#define RATOON__FOLDER_FORMAT 1
#define RATOON__FOLDER_FORMAT_LINE "ratoon store\n"
#define RATOON__BALLAST_MIN (4u << 20)
/* An append is refused while less than this would be left on the disk. */
#define RATOON__ROOM_MIN (8u << 20)

/* As ratoon__fail, with errno's text behind it and errno as backend code. */
ratoon_status ratoon__fail_errno(ratoon_error *error, ratoon_status code, const char *what,
                                 const char *path);
char *ratoon__path_join(const char *folder, const char *name); /* free(); NULL: out of memory */

/* Makes the folder: `fill` (its path is absolute where `path` is) puts the rest (db) into a
 * temporary one beside it, which is then synced and renamed into place. EXISTS where there is
 * anything of that name. What others of that name left when they died is removed. */
ratoon_status ratoon__folder_create(const char *path,
                                    ratoon_status (*fill)(void *ctx, const char *folder,
                                                          ratoon_error *error),
                                    void *ctx, ratoon_error *error);
/* Whether there is a store of a format that this version reads: NOT_FOUND, DAMAGED, UNSUPPORTED. */
ratoon_status ratoon__folder_check(const char *path, ratoon_error *error);
/* Takes the owner's lock. STORE_BUSY names the process that has it. */
ratoon_status ratoon__folder_lock(const char *path, int *fd, ratoon_error *error);
/* Folders that hold nothing lasting are made again where they are gone. */
ratoon_status ratoon__folder_mend(const char *path, ratoon_error *error);

/* Bytes that are left for us on the folder's disk; UINT64_MAX where that can't be found out. */
uint64_t ratoon__folder_room(const char *path);
/* Makes the ballast at least, or exactly, that large; whether it is now. 0 removes it. */
bool ratoon__ballast_grow(const char *path, uint64_t size);
void ratoon__ballast_set(const char *path, uint64_t size);

/* Links (else copies) RocksDB's log files to a place where it does not look, because it deletes
 * them once it has read what it could; those with nothing in them go. To be called by the owner,
 * before opening. */
typedef struct ratoon__logs {
    uint64_t bytes;       /* that they hold */
    uint64_t later_bytes; /* of these, in all but the oldest */
} ratoon__logs;
ratoon_status ratoon__logs_link(const char *path, ratoon__logs *logs, ratoon_error *error);
void ratoon__logs_unlink(const char *path);
/* Links the database's other files to the same place (false: can't be done). */
bool ratoon__files_link(const char *path);
#define RATOON__LOGS_LINKED "opening" /* that place */
/* The time of day for a name: "20240131T235959.123456Z". */
enum { RATOON__STAMP_SIZE = 40 };
void ratoon__folder_stamp(char stamp[RATOON__STAMP_SIZE]);
/* Keeps them for good: *kept is the new folder's path, to be freed, or NULL where that failed. */
void ratoon__logs_keep(const char *path, char **kept);

ratoon_status ratoon__tree_sync(const char *path, ratoon_error *error);
/* Copies what is in one folder into another: files and folders, of those in the folder itself only
 * the wanted ones (NULL: all). A file that is there with the same size and time is passed over; one
 * that vanishes meanwhile too. */
ratoon_status ratoon__tree_copy(const char *from, const char *to, bool (*wanted)(const char *name),
                                ratoon_error *error);
/* Whether a backup has this of a store's folder, besides database, witness and format. */
bool ratoon__backup_wants(const char *name);
char *ratoon__path_absolute(const char *path); /* free(); NULL: out of memory */
/* Removes a folder and what is in it. */
void ratoon__tree_remove(const char *path);
ratoon_status ratoon__file_write(const char *path, const void *data, size_t size,
                                 ratoon_error *error); /* replaces it whole, synced, its name too */
/* Makes a file that must not be there (EXISTS), synced with its folder. It gets its name when it is
 * whole and on disk: whoever finds it finds all of it, however its maker ended. mode: as for
 * open(), less the umask. */
ratoon_status ratoon__file_create(const char *path, const void *data, size_t size, unsigned mode,
                                  ratoon_error *error);
ratoon_status ratoon__parent_sync(const char *path, ratoon_error *error); /* path's folder */

#endif
