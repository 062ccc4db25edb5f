/* A group of commits on its way (committer.c, commit_decide.c). */
#ifndef RATOON_LOG_COMMIT_GROUP_H
#define RATOON_LOG_COMMIT_GROUP_H

#include "log/digest_many.h"
#include "log/store_impl.h"

/* One commit of the group. */
typedef struct ratoon__commit_slot {
    ratoon__request *request;
    ratoon__lineage *after; /* NULL where it is folded in only once it is acknowledged */
    ratoon__commit commit;  /* what it points to lives in the request's arena */
    ratoon_digest digest;
    bool digested;       /* else it is made with those of the group, or when it is looked at */
    bool appended;       /* it has an entry in `appends` */
    bool from_tentative; /* decided on top of a commit of this group */
    size_t append;
    size_t behind; /* from_tentative: the append that it was decided on top of */
    struct ratoon__commit_slot *next_unfolded; /* of the same lineage */
} ratoon__commit_slot;

/* A projection changed by this group and not yet acknowledged. */
typedef struct ratoon__tentative {
    ratoon__lineage *lineage;                      /* NULL: a free place */
    ratoon__commit_slot *unfolded, *unfolded_last; /* the group's for it that aren't folded in */
    size_t append;                                 /* the group's last one for it */
} ratoon__tentative;

typedef struct ratoon__commit_group {
    ratoon_store *store;
    ratoon__driver *driver;
    ratoon__encoder *encoder;
    ratoon__commit_slot *slots;
    size_t count;
    ratoon__append *appends;
    size_t appends_count;
    ratoon__digest_job *digests;   /* room for as many */
    ratoon__tentative *tentatives; /* open addressing by lineage, never more than half full */
    size_t tentatives_mask;
    bool sync;
} ratoon__commit_group;

/* ---- commit_decide.c ---- */
/* Decides one request; where it was refused on a projection that may be behind (another process
 * appends too), or has nothing to do, once more on a fresh one: only an append is checked against
 * the head. */
void ratoon__slot_decide(ratoon__commit_group *g, ratoon__commit_slot *at);
/* Before what is acknowledged is published: references would have it copied. */
void ratoon__tentatives_free(const ratoon__commit_group *g);

#endif
