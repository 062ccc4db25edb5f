/* The store handle from within: shared by the files that make it up (store.c, committer.c,
 * commit_queue.c, commit_make.c, projections.c, past.c, past_kept.c, definitions.c, values.c,
 * secrets.c, request_identity.c, files.c, recover.c, requests_*.c). */
#ifndef RATOON_LOG_STORE_IMPL_H
#define RATOON_LOG_STORE_IMPL_H

#include "core/id.h"
#include "log/attach.h"
#include "log/codec.h"
#include "log/digest.h"
#include "log/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define RATOON__CACHED_LINEAGES 4096 /* projections kept, the least recently used goes first */
#define RATOON__CACHED_ROOTS 16384   /* run → root, direct-mapped; a power of two */
#define RATOON__CACHED_DEFINITIONS 256
#define RATOON__GROUP_MAX 1024 /* requests in one write batch… */
#define RATOON__GROUP_BYTES_MAX                                                                    \
    ((size_t)32 << 20)             /* …and bytes of values, but for the last one                 \
                                    */
#define RATOON__ENCODERS 4         /* kept for callers that make commits themselves */
#define RATOON__IDS_RANDOM 64      /* ids that one call for randomness lasts for */
#define RATOON__CONFLICTS_MAX 1000 /* times a request is decided anew before it gives up */
#define RATOON__SNAPSHOT_EVENTS 64 /* no snapshot before so many events since the last */
#define RATOON__PAST_KEPT 128      /* projections of the past, and what their snapshots take up */
#define RATOON__PAST_BYTES ((size_t)2 << 20)

/* A projection in the cache, with what decides when the next snapshot is due. */
typedef struct ratoon__cached {
    ratoon_id id;
    ratoon__lineage *lineage;
    uint64_t used;           /* clock of the cache, for LRU */
    uint64_t snapshot_size;  /* of the last one */
    uint64_t snapshot_event; /* events folded in by then */
    uint64_t bytes_since;    /* of commits since then */
} ratoon__cached;

/* A projection of the past, right behind a commit (past_kept.c). */
typedef struct ratoon__past_kept {
    ratoon_id root;
    uint64_t head, events; /* the lineage's */
    uint64_t upto;         /* no snapshot was found behind it, up to this commit */
    uint64_t used;         /* clock, for LRU */
    size_t size;           /* of the snapshot and the commits that it was made of, if any */
    ratoon__lineage *lineage;
} ratoon__past_kept;

typedef struct ratoon__past {
    pthread_mutex_t lock;
    ratoon__past_kept items[RATOON__PAST_KEPT];
    size_t count, bytes;
    uint64_t clock;
} ratoon__past;

/* The commit that holds an event is one of [low, high]; `low_event` is the first of commit `low`,
 * `end_event` that of commit `end`, which lies behind. */
typedef struct ratoon__past_range {
    uint64_t low, low_event;
    uint64_t high, end, end_event;
} ratoon__past_range;

/* A commit made of a decision. */
typedef struct ratoon__made {
    ratoon__commit commit; /* what it points to lives in the request's arena; number 0: none */
    ratoon_digest digest;
    bool digested; /* else the digest is still to be made */
    const void *data;
    size_t size;
    bool failure; /* L06 */
} ratoon__made;

/* A change somebody waits for: a caller whose stack it lives on, or a queue of requests in flight
 * (async.c) that it belongs to. */
typedef struct ratoon__request ratoon__request;
enum { RATOON__TOLD_BY_ONE = 2 };

struct ratoon__request {
    ratoon_id lineage;
    bool fresh; /* the lineage is new: nothing to load */
    /* Judges the request against the projection as it will be when it is appended. Called by
     * whoever commits, possibly several times; must set everything anew each time. */
    ratoon_status (*decide)(ratoon__request *r, const ratoon__lineage *before,
                            const ratoon__facts *facts, ratoon__decision *out, ratoon_error *error);
    void *ctx;
    ratoon__driver *driver; /* to look up claims; set by the committer */
    ratoon__arena *arena;   /* for the decision; emptied before each */
    const ratoon__stored_value *values;
    size_t values_count;
    ratoon_error *error; /* may be NULL */
    bool may_make_ahead; /* `decide` asks for nothing but what it is given, nor does its commit */
    /* The queue that it belongs to, NULL: a caller waits. What it is refused with is then put into
     * a new *error (which may fail, and stay NULL). */
    ratoon_async *async;
    /* results */
    ratoon_status status;
    ratoon__lineage *after; /* the projection with it, a reference; NULL where nothing was appended,
                             * or only what changes no row and no name (ratoon__events_quiet) */
    ratoon_id claim_holder; /* CLAIMED: who, and which kind */
    bool claimed_key;
    ratoon__made ahead;      /* made before it was pushed (commit_make.c) */
    bool ahead_taken;        /* and became the lineage's next commit as it was */
    struct ratoon__tip *tip; /* of a queue: what it was made behind (async_ahead.c); NULL: none */
    /* the committer's */
    ratoon__request *next;
    _Atomic uint32_t turn; /* ratoon__turn; where a caller waits, it sleeps on it */
    bool settled;          /* has its answer; the turn follows */
    ratoon__request *told[RATOON__TOLD_BY_ONE]; /* whom its caller tells that they are done */
    uint32_t tries;
};

typedef enum ratoon__turn {
    RATOON__TURN_WAIT,  /* the caller sleeps, or is about to */
    RATOON__TURN_AWAKE, /* it has the committer's role and will look at the turn afterwards */
    RATOON__TURN_LEAD,  /* it has been given the role */
    RATOON__TURN_DONE,  /* the request is the caller's again */
} ratoon__turn;

/* Requests on their way to the committer, and whose turn it is. */
typedef struct ratoon__commit_queue {
    _Atomic(ratoon__request *) arrived; /* the newest first; anybody pushes */
    _Atomic uint32_t count;             /* pushed and not yet taken into a group */
    _Atomic bool led;                   /* somebody has the role, or has been given it */
    _Atomic(ratoon__encoder *) encoders[RATOON__ENCODERS]; /* of callers; NULL: none, or in use */
    _Atomic uint32_t gather;    /* a leader sleeps until so many wait; 0: none does */
    _Atomic bool digests_later; /* those of callers' commits are made together, by the leader */

    /* of whoever has the role */
    ratoon__request *first, **last; /* taken from `arrived`, the oldest first */
    ratoon__encoder *encoder;
    struct ratoon__group_space *space;
    uint32_t expected; /* callers that may be back soon, and be in the next group */
    uint32_t skip,
        skips; /* groups not to wait for, since waiting was in vain; how many next time */
    uint32_t asleep,
        asleeps;      /* groups to wait for asleep, as a yield took long; how many next time */
    uint64_t sync_ns; /* what a group's sync takes, smoothed */
} ratoon__commit_queue;

struct ratoon_store {
    char *path; /* absolute; "" in memory */
    ratoon_store_options options;
    char *actor;
    char *writer;
    ratoon__driver *driver;
    ratoon_id executor;
    bool attached; /* the driver is one of attach.h */

    pthread_mutex_t ids_lock;
    ratoon__id_state ids;
    uint8_t random[RATOON__IDS_RANDOM][10]; /* from the system, each used once */
    size_t random_left;
    int executor_fd; /* -1: not locked yet */

    pthread_mutex_t secret_lock;
    bool secret_known;
    uint8_t secret[32];

    ratoon__commit_queue queue;
    struct ratoon__async_service *service; /* async.c; NULL: not used so far */
    pthread_mutex_t service_lock;          /* guards that it is made once */

    ratoon__past past;
    pthread_mutex_t cache_lock;
    ratoon__cached **cache; /* open addressing by id; NULL: free */
    size_t cache_capacity, cache_count;
    uint64_t cache_clock;
    struct ratoon__root {
        ratoon_id run, root;
    } * roots;

    pthread_mutex_t definitions_lock;
    ratoon_pipeline *definitions[RATOON__CACHED_DEFINITIONS];
    size_t definitions_next;
};

/* ---- store.c ---- */
/* Takes this handle's executor lock, once (L08). */
ratoon_status ratoon__store_be_executor(ratoon_store *s, ratoon_error *error);

/* ---- commit_queue.c ---- */
bool ratoon__commit_queue_init(ratoon__commit_queue *q);
void ratoon__commit_queue_free(ratoon__commit_queue *q);
/* Has the request decided and appended, in a group with whatever else is waiting; returns its
 * status. */
ratoon_status ratoon__commit_request(ratoon_store *s, ratoon__request *r);
/* The same for one that belongs to a queue: returns at once. True: the role is the caller's, who
 * passes it on to somebody that may be kept waiting by it. */
bool ratoon__commit_submit(ratoon_store *s, ratoon__request *r);
/* Commits one group of what waits, and gives the role away: to whoever waits first, to the thread
 * of the queues, or to nobody. The caller has the role. */
void ratoon__commit_lead(ratoon_store *s);
/* How many wait to be taken into a group. */
uint32_t ratoon__commit_waiting(const ratoon_store *s);

/* ---- commit_make.c ---- */
void ratoon__facts_of(ratoon_store *s, const ratoon__lineage *before, ratoon__facts *facts);
/* Whether what was decided may be folded in after it is acknowledged (commit_decide.c). */
bool ratoon__decision_folds_later(const ratoon__lineage *before, const ratoon__decision *d);
/* Encodes a decision as the commit after `before`; its digest is not made yet. keep: its bytes live
 * in the request's arena, else they are the encoder's until its next use. */
ratoon_status ratoon__commit_make(ratoon_store *s, ratoon__encoder *encoder,
                                  const ratoon__request *r, const ratoon__lineage *before,
                                  const ratoon__decision *d, uint64_t now_us, bool keep,
                                  ratoon__made *out);
/* Decides a request on the projection as it is now and makes its commit, in the caller's thread,
 * which would only wait meanwhile. The committer takes it if nothing came in between, and else
 * decides anew: a refusal, too, is for it to say. */
void ratoon__commit_make_ahead(ratoon_store *s, ratoon__request *r);
/* The same, on the given projection, and digested if asked for, or large; false: it was not made.
 */
bool ratoon__commit_make_on(ratoon_store *s, ratoon__request *r, const ratoon__lineage *before,
                            bool digest);

/* ---- committer.c ---- */
/* The same for one request outside the queue, straight to `d`; for recovery. */
ratoon_status ratoon__commit_direct(ratoon_store *s, ratoon__driver *d, ratoon__request *r);
/* Memory that groups are made in, one after the other. */
typedef struct ratoon__group_space ratoon__group_space;
void ratoon__group_space_free(ratoon__group_space *space);
/* Decides and appends a list of requests; gives those that have to be decided again, in their
 * order. The others are settled. *sync_ns: what their sync took; 0: nothing was synced. */
ratoon__request *ratoon__group_commit(ratoon_store *s, ratoon__driver *d, ratoon__encoder *encoder,
                                      ratoon__group_space **space, ratoon__request *list,
                                      size_t count, uint64_t *sync_ns);
/* Completes the error of a request that is settled. */
void ratoon__request_finish_error(ratoon__request *r);

/* ---- requests_run.c ---- */
/* Operations on a run on their way; what it points to lives in its arenas or is the caller's. */
typedef struct ratoon__apply {
    ratoon_id run;
    uint64_t epoch;
    ratoon__op *ops;
    ratoon_op *public_ops;
    size_t count;
    ratoon__arena prepared, decided;
} ratoon__apply;
/* Finds out what has to be known before they are decided, and makes *r the request for it; *a
 * begins zeroed and is freed whatever this returns. */
ratoon_status ratoon__apply_prepare(ratoon_store *s, ratoon_id run, uint64_t epoch, ratoon_op *ops,
                                    size_t ops_count, ratoon__apply *a, ratoon__request *r,
                                    ratoon_error *error);
void ratoon__apply_free(ratoon__apply *a);

/* ---- async.c ---- */
/* Hands over requests that have their answers, one or several of one queue, linked by `next`, in
 * order. Before the role is passed on, so that answers come in the order of the groups. True: its
 * owner is to be told, by ratoon__async_tell(), once the role is passed on. */
bool ratoon__async_settled(ratoon_async *a, ratoon__request *first, ratoon__request *last);
void ratoon__async_tell(ratoon_async *a);
/* USAGE in a callback of the library's own thread: the committer may need that thread to go on. */
ratoon_status ratoon__async_may_wait(const ratoon_store *s, ratoon_error *error);
/* The thread of the queues gets the role. */
void ratoon__async_give_role(ratoon_store *s);
bool ratoon__async_waits_for_room(ratoon_async *a); /* some thread */
uint32_t ratoon__async_waiting(ratoon_async *a);    /* threads, for whatever */
/* Ends all queues: what is in flight is answered; then no thread is left. */
void ratoon__async_close_all(ratoon_store *s);

/* ---- projections.c ---- */
ratoon_status ratoon__projection_load(ratoon_store *s, ratoon__driver *d, ratoon_id root,
                                      bool must_be_fresh, ratoon__lineage **out,
                                      ratoon_error *error);
/* The version in the cache, a reference; NULL: none. */
ratoon__lineage *ratoon__projection_cached(ratoon_store *s, ratoon_id root);
/* Publishes a newer version and stores a snapshot where one is due. Takes no reference. */
void ratoon__projection_publish(ratoon_store *s, ratoon__driver *d, const ratoon__lineage *l,
                                size_t commit_size);
/* The same by a commit that is folded into the version in the cache: in place where nobody else
 * holds that. */
void ratoon__projection_advance(ratoon_store *s, ratoon__driver *d, const ratoon__commit *commit,
                                const ratoon_digest *digest, size_t commit_size);
/* The newest snapshot at or before commit `number`, else an empty projection; *size: its bytes. A
 * snapshot that can't be read is passed over: it is derived, the log has it all. */
ratoon_status ratoon__projection_from_snapshot(ratoon_store *s, ratoon__driver *d, ratoon_id root,
                                               uint64_t number, ratoon__lineage **out, size_t *size,
                                               ratoon_error *error);
void ratoon__projection_forget(ratoon_store *s, ratoon_id root);
void ratoon__projections_free(ratoon_store *s);
ratoon_status ratoon__root_of(ratoon_store *s, ratoon__driver *d, ratoon_id run, ratoon_id *root,
                              ratoon_error *error);
void ratoon__root_remember(ratoon_store *s, ratoon_id run, ratoon_id root);
ratoon_status ratoon__fold_range(ratoon_store *s, ratoon__driver *d, ratoon__lineage **lineage,
                                 uint64_t to, ratoon_error *error);
typedef struct ratoon__folding {
    ratoon_store *store;
    ratoon__driver *driver;
    ratoon__lineage *lineage;
    ratoon__arena arena; /* of one commit */
    uint64_t head;       /* no commit before this one is the last that is folded in */
    size_t bytes;        /* of the commits folded in */
} ratoon__folding;
/* Folds in the next commit, as it is stored. The digest of a commit is in the next one, so only
 * that of the last one is made; whether the chain holds is for verification to say. */
ratoon_status ratoon__fold_stored(ratoon__folding *f, const void *data, size_t size,
                                  ratoon_error *error);

/* ---- fold_by_two.c ---- */
/* Folds in all commits up to f->head, which must be there, read by two threads. False: nothing was
 * done, because that would not pay here, or because something went wrong, which reading and folding
 * them one by one will tell. */
bool ratoon__fold_by_two(ratoon__folding *f);

/* ---- definitions.c ---- */
ratoon_status ratoon__definition_load(ratoon_store *s, ratoon__driver *d,
                                      const ratoon_digest *digest, ratoon_pipeline **out,
                                      ratoon_error *error);
void ratoon__definition_remember(ratoon_store *s, const ratoon_pipeline *p);
ratoon_status ratoon__decode(ratoon_store *s, ratoon__driver *d, const void *data, size_t size,
                             ratoon__arena *arena, ratoon__commit *out, ratoon_error *error);
void ratoon__definitions_free(ratoon_store *s);

/* ---- values.c, secrets.c, request_identity.c, files.c ---- */
typedef struct ratoon__value_list { /* values to be stored with a commit; in the arena */
    ratoon__stored_value *items;
    size_t count, capacity;
} ratoon__value_list;
/* Digest of a value, inline or onto the list; what is lent stays lent (S05, S06). */
ratoon_status ratoon__prepare_value(ratoon_store *s, ratoon__arena *a, const ratoon_value *in,
                                    ratoon__value_ref *out, ratoon__value_list *stored,
                                    ratoon_error *error);
ratoon_status ratoon__prepare_values(ratoon_store *s, ratoon__arena *a, const ratoon_value *in,
                                     size_t count, ratoon__values *out, ratoon__value_list *stored,
                                     ratoon_error *error);
ratoon_status ratoon__prepare_definition(ratoon__arena *a, const ratoon_pipeline *p,
                                         ratoon__value_list *stored, ratoon_error *error);
/* Splits parameters into plain ones and keyed digests of secrets (E08). */
ratoon_status ratoon__prepare_params(ratoon_store *s, ratoon__arena *a, const ratoon_pipeline *p,
                                     const ratoon_pair *in, size_t count, const ratoon_pair **plain,
                                     size_t *plain_count, const ratoon__param **secrets,
                                     size_t *secrets_count, ratoon_error *error);
ratoon_status ratoon__create_request_digest(const ratoon_run_options *o,
                                            const ratoon__create_request *r, ratoon_digest *out,
                                            ratoon_error *error);
ratoon_status ratoon__retry_request_digest(const ratoon_retry_options *o,
                                           const ratoon__retry_request *r, ratoon_digest *out,
                                           ratoon_error *error);
/* R09: OK and *repeated where an equal request has made a run; KEY_REUSED where another did. */
ratoon_status ratoon__key_lookup(ratoon_store *s, const char *key, const ratoon_digest *request,
                                 ratoon_id *run, bool *repeated, ratoon_error *error);
/* The same after a refusal: an equal request may have made its run since the key was looked up, and
 * be the very reason for it. Gives the refusal back where the key is still free. */
ratoon_status ratoon__key_after_refusal(ratoon_store *s, const char *key,
                                        const ratoon_digest *request, ratoon_id *run,
                                        bool *repeated, ratoon_status refusal, ratoon_error *error);
/* S10: whether a branch of the run, with these edits, may start from a value that stands for a
 * file. Says so of too many rather than of too few, and asks for no plan. */
bool ratoon__files_possible(const ratoon__run *parent, const ratoon__values *edits);
/* S10: texts of the files among the values that are missing or changed, in the arena. */
ratoon_status ratoon__files_check(ratoon_store *s, ratoon__arena *a, const ratoon__state_view *v,
                                  const char *const **changed, size_t *count, ratoon_error *error);

/* ---- past_kept.c ---- */
/* The last projection before an event, a reference, where folding from it costs no more than from
 * a snapshot; *upto: as it was kept. Otherwise NULL, and the range is narrowed by what is kept on
 * both sides of the event. */
ratoon__lineage *ratoon__past_near(ratoon_store *s, ratoon_id root, uint64_t event, uint64_t *upto,
                                   ratoon__past_range *range);
/* Keeps a version of a lineage right behind a commit. upto: there is no snapshot after it up to
 * this commit. size: about what it would take up as a snapshot. */
void ratoon__past_keep(ratoon_store *s, const ratoon__lineage *l, uint64_t upto, size_t size);
void ratoon__past_forget(ratoon_store *s, const ratoon_id *root); /* NULL: everything */

/* ---- recover.c ---- */
ratoon_status ratoon__on_owner(void *store, ratoon__driver *owned, ratoon_error *error);
void ratoon__on_disconnect(void *store, ratoon__driver *owned);
/* L08 for the runs of one executor, or of every one that is gone (zero). */
ratoon_status ratoon__recover_runs(ratoon_store *s, ratoon__driver *d, ratoon_id executor,
                                   ratoon_error *error);
ratoon__run_row ratoon__row_of(const ratoon__run *r);

#endif
