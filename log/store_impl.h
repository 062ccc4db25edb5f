/* The store handle from within: shared by the files that make it up (store.c, committer.c,
 * projections.c, definitions.c, values.c, secrets.c, request_identity.c, files.c, recover.c,
 * requests_*.c). */
#ifndef RATOON_LOG_STORE_IMPL_H
#define RATOON_LOG_STORE_IMPL_H

#include "core/id.h"
#include "log/attach.h"
#include "log/codec.h"
#include "log/digest.h"
#include "log/store.h"

#include <pthread.h>

#define RATOON__CACHED_LINEAGES 4096 /* projections kept, the least recently used goes first */
#define RATOON__CACHED_ROOTS 16384   /* run → root, direct-mapped; a power of two */
#define RATOON__CACHED_DEFINITIONS 256
#define RATOON__GROUP_MAX 1024     /* requests in one write batch */
#define RATOON__CONFLICTS_MAX 1000 /* times a request is decided anew before it gives up */
#define RATOON__SNAPSHOT_EVENTS 64 /* no snapshot before so many events since the last */

/* A projection in the cache, with what decides when the next snapshot is due. */
typedef struct ratoon__cached {
    ratoon_id id;
    ratoon__lineage *lineage;
    uint64_t used;           /* clock of the cache, for LRU */
    uint64_t snapshot_size;  /* of the last one */
    uint64_t snapshot_event; /* events folded in by then */
    uint64_t bytes_since;    /* of commits since then */
} ratoon__cached;

/* A change somebody waits for. Lives on the caller's stack until it is done. */
typedef struct ratoon__request ratoon__request;
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
    /* results */
    ratoon_status status;
    ratoon__lineage
        *after; /* the projection with it, a reference; NULL where nothing was appended */
    ratoon_id claim_holder; /* CLAIMED: who, and which kind */
    bool claimed_key;
    /* the committer's */
    ratoon__request *next;
    pthread_cond_t wake;
    bool settled; /* has its answer; `done` follows under queue_lock */
    bool done;
    uint32_t tries;
};

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
    int executor_fd; /* -1: not locked yet */

    pthread_mutex_t secret_lock;
    bool secret_known;
    uint8_t secret[32];

    pthread_mutex_t queue_lock; /* guards queue, last, busy and every request's `done` */
    ratoon__request *queue, **last;
    bool busy;                /* somebody commits */
    ratoon__encoder *encoder; /* of whoever commits */

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

/* ---- committer.c ---- */
/* Has the request decided and appended, in a group with whatever else is waiting; returns its
 * status. */
ratoon_status ratoon__commit_request(ratoon_store *s, ratoon__request *r);
/* The same for one request outside the queue, straight to `d`; for recovery. */
ratoon_status ratoon__commit_direct(ratoon_store *s, ratoon__driver *d, ratoon__request *r);

/* ---- projections.c ---- */
ratoon_status ratoon__projection_load(ratoon_store *s, ratoon__driver *d, ratoon_id root,
                                      bool must_be_fresh, ratoon__lineage **out,
                                      ratoon_error *error);
/* Publishes a newer version and stores a snapshot where one is due. Takes no reference. */
void ratoon__projection_publish(ratoon_store *s, ratoon__driver *d, const ratoon__lineage *l,
                                size_t commit_size);
void ratoon__projection_forget(ratoon_store *s, ratoon_id root);
void ratoon__projections_free(ratoon_store *s);
ratoon_status ratoon__root_of(ratoon_store *s, ratoon__driver *d, ratoon_id run, ratoon_id *root,
                              ratoon_error *error);
void ratoon__root_remember(ratoon_store *s, ratoon_id run, ratoon_id root);
ratoon_status ratoon__fold_range(ratoon_store *s, ratoon__driver *d, ratoon__lineage **lineage,
                                 uint64_t to, ratoon_error *error);

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
                                         ratoon__value_list *stored);
/* Splits parameters into plain ones and keyed digests of secrets (E08). */
ratoon_status ratoon__prepare_params(ratoon_store *s, ratoon__arena *a, const ratoon_pipeline *p,
                                     const ratoon_pair *in, size_t count, const ratoon_pair **plain,
                                     size_t *plain_count, const ratoon__param **secrets,
                                     size_t *secrets_count, ratoon_error *error);
ratoon_digest ratoon__create_request_digest(const ratoon_run_options *o,
                                            const ratoon__create_request *r);
ratoon_digest ratoon__retry_request_digest(const ratoon_retry_options *o,
                                           const ratoon__retry_request *r);
/* R09: OK and *repeated where an equal request has made a run; KEY_REUSED where another did. */
ratoon_status ratoon__key_lookup(ratoon_store *s, const char *key, const ratoon_digest *request,
                                 ratoon_id *run, bool *repeated, ratoon_error *error);
/* The same after a refusal: an equal request may have made its run since the key was looked up, and
 * be the very reason for it. Gives the refusal back where the key is still free. */
ratoon_status ratoon__key_after_refusal(ratoon_store *s, const char *key,
                                        const ratoon_digest *request, ratoon_id *run,
                                        bool *repeated, ratoon_status refusal, ratoon_error *error);
/* S10: texts of the files among the values that are missing or changed, in the arena. */
ratoon_status ratoon__files_check(ratoon_store *s, ratoon__arena *a, const ratoon__state_view *v,
                                  const char *const **changed, size_t *count, ratoon_error *error);

/* ---- recover.c ---- */
ratoon_status ratoon__on_owner(void *store, ratoon__driver *owned, ratoon_error *error);
void ratoon__on_disconnect(void *store, ratoon__driver *owned);
/* L08 for the runs of one executor, or of every one that is gone (zero). */
ratoon_status ratoon__recover_runs(ratoon_store *s, ratoon__driver *d, ratoon_id executor,
                                   ratoon_error *error);
ratoon__run_row ratoon__row_of(const ratoon__run *r);

#endif
