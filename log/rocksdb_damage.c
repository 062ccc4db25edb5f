/* Whether the log that was recovered is all that was acknowledged, and what becomes of a store of
 * which that isn't so (E04). */
#include "log/rocksdb_impl.h"

#include "log/folder.h"
#include "log/points.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the feed is checked for at opening is what came from the log: a commit takes at least this
 * many bytes there; and some that came before it. */
enum { LOGGED_COMMIT_MIN = 100, CHECKED_MIN = 1000 };

/* What is wrong with the log that was recovered: DAMAGED, or OK. */
static ratoon_status examine(ratoon__rocks *r, const ratoon__logs *logs, ratoon_error *error)
{
    uint64_t end = 0;
    ratoon_status status = ratoon__witness_open(&r->witness, r->path, error);
    ratoon_status read = ratoon__window_recover(r, &end, error);
    if (read != RATOON_OK) {
        end = r->witness.position; /* so that commits can be read at least */
    }
    atomic_store(&r->acked, end);
    atomic_store(&r->synced, end);
    if (read == RATOON_OK) {
        read = ratoon__rocks_load_derived(r, error);
    }
    if (read != RATOON_OK) {
        return read;
    }
    if (status == RATOON_OK && r->witness.position > end) {
        status = ratoon__fail(error, RATOON_ERR_DAMAGED,
                              "the log of the store %s ends at position %U, but %U was "
                              "acknowledged: the last %U commits are lost",
                              r->path, end, r->witness.position, r->witness.position - end);
    }
    if (status == RATOON_OK) {
        /* Within one log file there is nothing behind a flaw. Of several, an older one may end too
         * early, and what is missing need not show in the rows: so the commits are looked up as far
         * back as that can be. */
        const uint64_t later = logs->later_bytes / LOGGED_COMMIT_MIN;
        status = ratoon__rocks_feed_check(r, CHECKED_MIN + logs->bytes / LOGGED_COMMIT_MIN,
                                          later == 0 ? 0 : later + RATOON__WINDOW_MAX, error);
    }
    return status;
}

/* The store is damaged: it can be read. The log files that were found are kept, and what is said
 * of them, so that the next opening says the same. */
static void keep_damage(ratoon__rocks *r, ratoon_error *why)
{
    char *kept = NULL;
    char *path = ratoon__path_join(r->path, "damage");
    ratoon__logs_keep(r->path, &kept);
    ratoon__buf text = {0};
    ratoon__buf_str(&text, why->message);
    if (kept != NULL) {
        ratoon__buf_format(&text, "; the log files as they were found are kept in %s", kept);
    }
    if (path != NULL && !text.failed) {
        ratoon_error unsaid; /* that the note can't be kept is not worse than the damage itself */
        (void)ratoon__file_write(path, text.data, text.size, &unsaid);
        ratoon__rocks_refuse(r, RATOON_ERR_DAMAGED, text.data);
    } else {
        ratoon__rocks_refuse(r, RATOON_ERR_DAMAGED, why->message);
    }
    ratoon__buf_free(&text);
    free(path);
    free(kept);
}

/* Whether an earlier opening found damage that nobody has accepted yet. */
static bool known_damage(ratoon__rocks *r)
{
    char *path = ratoon__path_join(r->path, "damage");
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    if (file != NULL) {
        char text[RATOON__TEXT_MAX];
        size_t size = fread(text, 1, sizeof text - 1, file);
        text[size] = '\0';
        fclose(file);
        ratoon__rocks_refuse(r, RATOON_ERR_DAMAGED, text);
    }
    free(path);
    return file != NULL;
}

ratoon_status ratoon__rocks_open_proven(ratoon__rocks *r, ratoon_error *error)
{
    ratoon_error why = {0};
    ratoon__logs logs = {0};
    ratoon_status status = ratoon__logs_link(r->path, &logs, &why);
    if (status == RATOON_OK) {
        bool mended;
        ratoon__at(RATOON__POINT_OPEN_LINKED);
        status = ratoon__rocks_recover(r, &mended, &why); /* which removes nothing where it fails */
        if (mended) {
            logs = (ratoon__logs){.bytes = UINT64_MAX, .later_bytes = UINT64_MAX};
        }
    }
    if (status == RATOON_OK) {
        ratoon__at(RATOON__POINT_OPEN_RECOVERED);
        bool known = known_damage(r);
        status = examine(r, &logs, &why);
        ratoon__at(RATOON__POINT_OPEN_EXAMINED);
        if (status != RATOON_OK && status != RATOON_ERR_DAMAGED) {
            ratoon__rocks_close_db(r);
        } else if (known) {
            status = ratoon__rocks_writable(r, &why);
        } else if (status == RATOON_ERR_DAMAGED) {
            keep_damage(r, &why);
            status = ratoon__rocks_writable(r, &why);
        }
    }
    ratoon__logs_unlink(r->path);
    ratoon__at(RATOON__POINT_OPEN_UNLINKED);
    if (status != RATOON_OK && error != NULL) {
        *error = why;
    }
    return status;
}

/* ---- accepting a loss ---- */

static ratoon_status replace_note(const ratoon__rocks *r, ratoon_error *error)
{
    char *from = ratoon__path_join(r->path, "damage");
    char *to = NULL;
    char stamp[RATOON__STAMP_SIZE];
    ratoon__folder_stamp(stamp);
    ratoon_status status = RATOON_OK;
    if (from == NULL || asprintf(&to, "%s/damage-accepted-%s", r->path, stamp) < 0) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    } else if (rename(from, to) != 0) {
        status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't rename", from);
    }
    free(to);
    free(from);
    return status;
}

/* The note goes last: as long as it is there, the store is damaged, and this can be done again. */
static ratoon_status accept(ratoon__rocks *r, ratoon_error *error)
{
    uint64_t end = atomic_load(&r->acked);
    ratoon_status status = ratoon__rocks_feed_check(r, UINT64_MAX, 0, error);
    if (status == RATOON_OK) {
        /* Rows of what is lost can't be told from the others. */
        status = ratoon__rocksdb_forget_derived(&r->driver, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__witness_replace(r->path, end, error);
    }
    return status == RATOON_OK ? replace_note(r, error) : status;
}

ratoon_status ratoon__rocksdb_accept_loss(const char *path, ratoon_buffer *lost,
                                          ratoon_error *error)
{
    const ratoon__driver_options options = {0};
    ratoon__driver *d = NULL;
    ratoon_error why = {0};
    ratoon_status status = ratoon__rocksdb_open(path, &options, &d, &why);
    if (d == NULL) {
        if (error != NULL) {
            *error = why;
        }
        return status;
    }
    if (status != RATOON_ERR_DAMAGED) {
        status = ratoon__fail(error, RATOON_ERR_USAGE, "the store %s has lost nothing", path);
    } else {
        status = accept(ratoon__rocks_of(d), error);
    }
    if (status == RATOON_OK && lost != NULL) {
        lost->data = strdup(why.message); /* NULL when out of memory: accepted all the same */
        lost->size = lost->data == NULL ? 0 : strlen(lost->data);
    }
    d->ops->close(d);
    return status;
}

ratoon_status ratoon_store_accept_loss(const char *path, ratoon_buffer *lost, ratoon_error *error)
{
    if (path == NULL || path[0] == '\0' || lost == NULL) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "accepting a loss needs a path and a buffer");
    }
    char *whole = realpath(path, NULL);
    if (whole == NULL && errno != ENOENT) {
        return ratoon__fail_errno(error, RATOON_ERR_IO, "can't resolve", path);
    }
    const ratoon_status status =
        ratoon__rocksdb_accept_loss(whole == NULL ? path : whole, lost, error);
    free(whole);
    return status;
}
