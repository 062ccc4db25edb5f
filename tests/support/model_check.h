/* Compares a store with the reference model (model.h), and tells what led to a difference. */
#ifndef RATOON_TESTS_MODEL_CHECK_H
#define RATOON_TESTS_MODEL_CHECK_H

#include "tests/support/model.h"

enum { MODEL_LOG_LINES = 1500, MODEL_LOG_SHOWN = 30, MODEL_LOG_TEXT = 400 };

typedef struct model_sim {
    model m;
    ratoon_store *store;
    char *folder; /* NULL: a store in memory */
    support_prng prng;
    uint64_t seed;
    unsigned long world, step;
    char log[MODEL_LOG_LINES][MODEL_LOG_TEXT]; /* the last requests, a ring */
    unsigned long logged;
} model_sim;

/* Begins the line of a request, adds to it. */
void model_log(model_sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void model_log_more(model_sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints seed, step and the last requests, or with RATOON_MODEL_RUN all about that run, and fails
 * the test. */
_Noreturn void model_fail(model_sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Fails unless the answer is among the allowed ones. */
void model_expect(model_sim *sim, uint64_t allowed, ratoon_status got, const ratoon_error *error);
void model_must(model_sim *sim, ratoon_status status, const ratoon_error *error);

/* Everything about a run: its own fields, head, stages. */
void model_check_run(model_sim *sim, int run);
/* State at a random boundary, and what a random stage receives. */
void model_check_state(model_sim *sim, int run);
void model_check_items(model_sim *sim, int run, unsigned stage);
/* Lists, most_recent and find_in_flight. */
void model_check_lists(model_sim *sim);
void model_check_verified(model_sim *sim);
/* The plan of a preview against the model's. *refusals: the set of its codes; the first one. */
void model_check_preview(model_sim *sim, const model_request *q, const model_plan *plan,
                         const char *json, uint64_t *refusals, ratoon_status *first);

/* ---- random requests ---- */
typedef struct model_texts { /* values as the library has them */
    ratoon_value values[MODEL_KEYS + 1];
    size_t count;
    char keys[MODEL_KEYS + 1][8];
    char text[MODEL_KEYS + 1][MODEL_VALUE_TEXT];
} model_texts;
uint64_t model_below(model_sim *sim, uint64_t bound);
bool model_one_in(model_sim *sim, uint64_t n);
unsigned model_random_keys(model_sim *sim);
void model_fill_values(model_texts *t, unsigned set, unsigned base, bool with_things);
void model_do_create(model_sim *sim);
void model_do_retry(model_sim *sim);

#endif
