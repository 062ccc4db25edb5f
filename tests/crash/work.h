/* One thread of a worker: what work.c, work_runs.c and work_keep.c share. */
#ifndef RATOON_TESTS_CRASH_WORK_H
#define RATOON_TESTS_CRASH_WORK_H

#include "tests/crash/crash.h"

enum { CRASH_THREADS = 3, CRASH_OWN_RUNS = 16, CRASH_TEXT = 32 };

typedef struct crash_worker {
    const crash_work *work;
    ratoon_store *store;
    ratoon_pipeline *plain, *scoped;
    ratoon_pipeline *shared; /* of the one run that nobody executes or deletes */
    uint32_t thread, sequence;
    support_prng prng;
    uint64_t began_us;
    ratoon_id own[CRASH_OWN_RUNS]; /* runs it has ended, the newest last */
    size_t own_count;
} crash_worker;

extern _Atomic bool crash_work_over; /* the worker ends by itself */

/* ---- saying (work.c) ---- */
uint64_t crash_token(crash_worker *w);
void crash_token_text(uint64_t token, char text[CRASH_TEXT]);
void crash_say(const crash_work *work, const crash_record *record);
void crash_intent(crash_worker *w, crash_kind kind, uint64_t token, ratoon_id root);
/* What became of it. allowed: bits (1 << status) of refusals that may be. True: acknowledged. */
bool crash_answer(crash_worker *w, crash_kind kind, uint64_t token, ratoon_id root,
                  ratoon_status status, const ratoon_error *error, uint64_t allowed);
_Noreturn void crash_wrong(const crash_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define CRASH_MAY(name) (UINT64_C(1) << RATOON_ERR_##name)

bool crash_one_in(crash_worker *w, uint64_t n);

/* ---- runs (work_runs.c) ---- */
void crash_live(crash_worker *w); /* one run, from its creation to wherever it gets */
void crash_resume(crash_worker *w);
void crash_annotate_shared(crash_worker *w);

/* ---- upkeep (work_keep.c) ---- */
void crash_delete(crash_worker *w);
void crash_prune(crash_worker *w);
void crash_backup(crash_worker *w);
void crash_scan(crash_worker *w);
void crash_read_feed(crash_worker *w);

#endif
