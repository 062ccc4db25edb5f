/* Frames of the socket protocol between the owner of a store and its clients.
 *
 * A frame is a head of 16 bytes and then fields, all little-endian, everything padded to 8 bytes:
 *     u32 size of the whole frame   u16 operation   u16 status (answers)   u64 request id   fields
 * A number is a u64; an id its 16, a digest its 32 bytes; bytes and texts are a u64 length, then
 * the bytes (a text with its NUL) and zeros up to a multiple of 8. So whatever is in a frame that
 * begins at a multiple of 8 does so too, commits among them. Frames are not FlatBuffers: the
 * commits in them are, and the codec's verifier runs over commits whichever way they come.
 *
 * An answer carries the operation and id of its request; where its status is not OK, an error is
 * its only field. Answers come in any order. Each length is checked against what is there and
 * against a limit; a peer that sends anything else is disconnected. */
#ifndef RATOON_LOG_SOCKET_FRAME_H
#define RATOON_LOG_SOCKET_FRAME_H

#include "log/driver.h"

#define RATOON__FRAME_VERSION 4
#define RATOON__FRAME_MAGIC UINT64_C(0x6e6f6f7461720001) /* of HELLO, which never changes */
#define RATOON__FRAME_HEAD_SIZE ((size_t)16)
#define RATOON__FRAME_SIZE_MAX ((size_t)1 << 30)
#define RATOON__FRAME_PAGE_SIZE ((size_t)4 << 20) /* a page ends with the entry that reaches it */
#define RATOON__FRAME_TEXT_MAX ((size_t)1 << 20)

typedef enum ratoon__frame_op {
    RATOON__FRAME_HELLO = 1,
    RATOON__FRAME_APPEND,
    RATOON__FRAME_HEAD,
    RATOON__FRAME_READ,
    RATOON__FRAME_TAIL,
    RATOON__FRAME_END,
    RATOON__FRAME_VALUE_GET,
    RATOON__FRAME_VALUES,
    RATOON__FRAME_RUN_GET,
    RATOON__FRAME_LIST,
    RATOON__FRAME_CLAIM_GET,
    RATOON__FRAME_CLAIMS,
    RATOON__FRAME_SNAPSHOT_GET,
    RATOON__FRAME_SNAPSHOT_PUT,
    RATOON__FRAME_SWEEP,
    RATOON__FRAME_CHECKPOINT,
    RATOON__FRAME_HEADS,
    RATOON__FRAME_OP_END,
} ratoon__frame_op;

/* ---- heads ---- */

typedef struct ratoon__frame_head {
    size_t size;
    ratoon__frame_op op;
    ratoon_status status;
    uint64_t id;
} ratoon__frame_head;

/* Reads a head of RATOON__FRAME_HEAD_SIZE bytes. False: not a frame. */
bool ratoon__frame_head_get(const void *data, ratoon__frame_head *out);
/* Gives a frame that was built with id 0 its id. */
void ratoon__frame_id_set(void *frame, uint64_t id);

/* ---- writing ---- */

/* Appends one frame to a buffer. Errors stick: out of memory, or over a limit. */
typedef struct ratoon__frame_writer {
    ratoon__buf *buf;
    size_t start;
    bool over_limit;
} ratoon__frame_writer;

ratoon__frame_writer ratoon__frame_begin(ratoon__buf *buf, ratoon__frame_op op,
                                         ratoon_status status, uint64_t id);
void ratoon__frame_put_u64(ratoon__frame_writer *w, uint64_t value);
void ratoon__frame_put_id(ratoon__frame_writer *w, ratoon_id id);
void ratoon__frame_put_digest(ratoon__frame_writer *w, const ratoon_digest *digest);
void ratoon__frame_put_bytes(ratoon__frame_writer *w, const void *data, size_t size);
void ratoon__frame_put_text(ratoon__frame_writer *w, const char *text); /* NULL: "" */
/* Bytes of the frame so far. */
size_t ratoon__frame_size(const ratoon__frame_writer *w);
/* Overwrites the u64 at an offset in the frame. */
void ratoon__frame_patch_u64(ratoon__frame_writer *w, size_t offset, uint64_t value);
/* Completes the frame; or takes it out of the buffer again: LIMIT_EXCEEDED, NO_MEMORY. */
ratoon_status ratoon__frame_finish(ratoon__frame_writer *w, ratoon_error *error);

/* ---- reading ---- */

/* Reads the fields of one whole frame (8-byte aligned). Errors stick: after `bad` everything read
 * is zero or empty. Bytes and texts are lent by the frame. */
typedef struct ratoon__frame_reader {
    const uint8_t *data;
    size_t size, at;
    bool bad;
} ratoon__frame_reader;

ratoon__frame_reader ratoon__frame_fields(const void *frame, size_t size);
uint64_t ratoon__frame_get_u64(ratoon__frame_reader *r);
/* A number that must lie in [low, high]; else bad, and low. */
uint64_t ratoon__frame_get_range(ratoon__frame_reader *r, uint64_t low, uint64_t high);
ratoon_id ratoon__frame_get_id(ratoon__frame_reader *r);
ratoon_digest ratoon__frame_get_digest(ratoon__frame_reader *r);
const void *ratoon__frame_get_bytes(ratoon__frame_reader *r, size_t *size);
const char *ratoon__frame_get_text(ratoon__frame_reader *r); /* never NULL */
/* Nothing bad, and nothing left. */
bool ratoon__frame_done(const ratoon__frame_reader *r);

/* ---- things that frames carry ---- */

void ratoon__frame_put_error(ratoon__frame_writer *w, const ratoon_error *error);
/* With the status of the head. error may be NULL. */
void ratoon__frame_get_error(ratoon__frame_reader *r, ratoon_status status, ratoon_error *error);

void ratoon__frame_put_row(ratoon__frame_writer *w, const ratoon__run_row *row);
void ratoon__frame_get_row(ratoon__frame_reader *r, ratoon__run_row *row);

/* Whether the limit is one is the driver's to say. */
void ratoon__frame_put_query(ratoon__frame_writer *w, const ratoon__list_query *query);
void ratoon__frame_get_query(ratoon__frame_reader *r, ratoon__list_query *query);

/* Requests of an append: sync, then the group. Arrays go into the arena. */
void ratoon__frame_put_group(ratoon__frame_writer *w, const ratoon__append *appends, size_t count,
                             bool sync);
void ratoon__frame_get_group(ratoon__frame_reader *r, ratoon__arena *arena,
                             ratoon__append **appends, size_t *count, bool *sync);
/* The answer: one result each, in order. The count must be that of the request. */
void ratoon__frame_put_results(ratoon__frame_writer *w, const ratoon__append *appends,
                               size_t count);
void ratoon__frame_get_results(ratoon__frame_reader *r, ratoon__append *appends, size_t count);

/* Pages of commits: how many, whether there is more behind them, and the commits. */
typedef struct ratoon__frame_page {
    ratoon__frame_writer writer;
    size_t at; /* where the numbers stand */
    uint64_t count;
} ratoon__frame_page;
ratoon__frame_page ratoon__frame_page_begin(ratoon__buf *buf, ratoon__frame_op op, uint64_t id);
bool ratoon__frame_page_full(const ratoon__frame_page *p);
ratoon_status ratoon__frame_page_finish(ratoon__frame_page *p, bool more, ratoon_error *error);
void ratoon__frame_page_head(ratoon__frame_reader *r, uint64_t *count, bool *more);

typedef struct ratoon__frame_commit {
    uint64_t position, number;
    ratoon_id lineage;
    const void *data;
    size_t size;
} ratoon__frame_commit;
void ratoon__frame_put_commit(ratoon__frame_writer *w, const ratoon__frame_commit *commit);
void ratoon__frame_get_commit(ratoon__frame_reader *r, ratoon__frame_commit *commit);

#endif
