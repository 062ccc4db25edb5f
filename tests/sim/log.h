/* What the checks of the log and of answers know. */
#ifndef RATOON_TESTS_SIM_LOG_H
#define RATOON_TESTS_SIM_LOG_H

#include "core/decide.h"
#include "log/codec.h"
#include "tests/sim/sim.h"

typedef struct log_stage {
    ratoon_stage_status status, counts_as;
    uint32_t attempt;
    uint64_t told_ns;       /* when its executor was told that its last start is recorded */
    uint64_t not_before_ns; /* monotonic: back-off of the present start of the run */
    bool early;             /* started before that, and has not ended yet */
    unsigned items_done;    /* set of items a, b, c */
    uint8_t *ended;         /* how attempt n ended; 0: it did not, or was returned */
    uint32_t ended_count;
} log_stage;

typedef struct log_run {
    ratoon_id id, root, parent, executor;
    uint32_t depth;
    ratoon_run_status status;
    uint64_t epoch, cancelled_ns;
    bool queued_by_request, only, deleted;
    int32_t until;
    const ratoon_pipeline *pipeline;
    log_stage *stages;
    size_t stages_count;
    char key[64], scope[32], reason[64];
} log_run;

typedef struct log_lineage {
    ratoon_id id;
    uint64_t head, events, time_us;
    ratoon_digest digest;
    uint32_t runs;
    bool deleted;
} log_lineage;

typedef struct log_place {
    ratoon_id lineage;
    uint64_t number;
} log_place;

enum { LOG_REFUSED_MAX = 512 };

typedef struct log_state {
    log_run **runs;
    size_t runs_count;
    log_lineage *lineages;
    size_t lineages_count;
    log_place *feed;
    ratoon_id *commit_ids;
    size_t feed_count;
    uint64_t next;                     /* position */
    char refused[LOG_REFUSED_MAX][64]; /* reasons of requests that were refused for good */
    size_t refused_count;
} log_state;

extern log_state sim_log;
log_run *sim_log_find(ratoon_id id);
log_lineage *sim_log_lineage(ratoon_id id);
const char *sim_id(ratoon_id id); /* lent for a few calls */

#endif
