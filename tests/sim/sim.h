/* A whole world in one thread: simulated processes that execute the real command logic, runner,
 * committer, store and memory driver, over virtual time, with a scheduler and faults drawn from a
 * seed. What is real and what is not stands in main.c. */
#ifndef RATOON_TESTS_SIM_H
#define RATOON_TESTS_SIM_H

#include "log/driver.h"
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdio.h>

#define SIM_NEVER UINT64_MAX
#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_S UINT64_C(1000000000)

typedef struct sim_proc sim_proc;
typedef struct sim_fiber sim_fiber;

/* ---- fiber.c: virtual time, threads of simulated processes ---- */

struct sim_proc {
    sim_proc *next;
    int pid;
    char what[48];
    bool dead;        /* it was killed: what still runs of it changes nothing any more */
    bool over;        /* its main thread has ended */
    int fibers;       /* alive */
    uint64_t skip_ns; /* of a dead one: how far its clock is ahead, so that it ends at once */
    unsigned idle_rounds;
    ratoon_store *store;      /* while it has one open */
    int lock_fd;              /* of a dead one: its executor's lock until that falls, else -1 */
    bool unlocked;            /* it lives, but is taken for dead: somebody removed its lock */
    uint64_t frozen_until_ns; /* it is stopped till then */
    bool closing;             /* its store */
    uint64_t asked_ns;        /* when the change began that it is waiting for */
    bool catches;             /* signals set a flag */
    int caught;
    int exit_code;
    void (*main)(sim_proc *p, void *ctx);
    void *ctx;
};
extern sim_proc *sim_procs;
extern uint64_t sim_now_ns; /* monotonic */
extern int64_t sim_wall_us; /* wall clock minus monotonic clock */
extern int sim_atomic;      /* not 0: locks are no points to switch at */
extern bool sim_faults;     /* faults and chance in what is not the schedule */

sim_proc *sim_self(void);         /* NULL: the world itself */
bool sim_thread_is_running(void); /* else it is the scheduler or what is around it */
uint64_t sim_clock_ns(void);      /* as the present process sees it */
uint64_t sim_clock_wall_us(void);
sim_proc *sim_proc_start(const char *what, void (*main)(sim_proc *p, void *ctx), void *ctx);
/* A thread of a process (NULL: of the world). */
sim_fiber *sim_thread(sim_proc *p, const char *name, void (*fn)(void *ctx), void *ctx);
void sim_join(sim_fiber *f); /* frees it; each thread is joined or detached */
void sim_detach(sim_fiber *f);
/* Until woken (true) or the time is up. */
bool sim_wait(const void *what, uint64_t deadline_ns);
void sim_wake(const void *what, unsigned most);
void sim_sleep(uint64_t ns);
void sim_yield(void);
/* Calls fn in the world at that time; it must not wait. */
void sim_after(uint64_t ns, void (*fn)(void *ctx), void *ctx);
/* Runs the world until the director's thread has ended. */
void sim_play(void (*director)(void *ctx), void *ctx);
unsigned sim_alive(void); /* processes that have not ended */
uint64_t sim_switches(void);

uint64_t sim_below(uint64_t bound);
uint64_t sim_between(uint64_t low, uint64_t high); /* both included */
bool sim_chance(unsigned per_mille);
/* Something that a replay must repeat; a line of the trace. */
void sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_hash(const void *data, size_t size);
uint64_t sim_hash_value(void);
_Noreturn void sim_fail(const char *rule, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_seed(uint64_t seed, bool trace, FILE *out);

/* ---- disk.c: the store's files, who owns them, connections to the owner ---- */

void sim_disk_open(void);
void sim_disk_close(void);
ratoon__driver *sim_disk(void);
void sim_disk_died(sim_proc *p); /* connections and ownership fall */
typedef enum sim_disk_fault {
    SIM_DISK_SLOW,         /* syncs take long for a while */
    SIM_DISK_REFUSES,      /* the next write of the owner fails, nothing is stored */
    SIM_DISK_KEEPS,        /* it fails, and may be there nevertheless once the store is reopened */
    SIM_DISK_HANGS_UP,     /* the next answer to a client is lost */
    SIM_DISK_KILLS_BEFORE, /* whoever appends next dies, before or after it is stored */
    SIM_DISK_KILLS_AFTER,
    SIM_DISK_KILLS_AT_POINT, /* whoever comes by a named point of the code next */
    SIM_DISK_KILLS_OWNER,    /* the owner dies while it answers a client */
} sim_disk_fault;
void sim_disk_break(sim_disk_fault fault);
void sim_disk_mend(void);
sim_proc *sim_disk_owner(void);

/* ---- files.c: files below /sim, in memory ---- */

void sim_files_open(void);
void sim_files_close(void);
void sim_files_unlock(int fd); /* its flock falls, though it stays open */

/* ---- loop.c: libuv ---- */

typedef struct sim_loop sim_loop;
sim_loop *sim_loop_of(void *uv_loop);
/* Has fn called in the loop's turn. */
void sim_loop_post(sim_loop *l, void (*fn)(void *ctx), void *ctx);
void sim_loop_hold(sim_loop *l, int by); /* something keeps it alive */
bool sim_loop_signal(sim_proc *p, int number);

/* ---- stage.c: processes of stages, under their supervisors ---- */

void sim_stages_died(sim_proc *p); /* their executor did */
void sim_stages_open(void);
unsigned sim_stages_alive(void);
void sim_stages_close(void);
/* The attempt was ended because it said nothing for so long (A06). */
void sim_stages_check_quiet(ratoon_id run, const char *stage, unsigned attempt, uint64_t quiet_ms);
void sim_stages_calm(bool calm); /* they neither hang nor fail */

/* ---- log.c: what is in the log obeys the rules ---- */

void sim_log_open(void);
void sim_log_close(void);
/* Takes in what was appended. by: who appended it. */
void sim_log_follow(sim_proc *by);
typedef struct sim_run { /* a run as the log tells of it */
    ratoon_id id, root;
    ratoon_run_status status;
    const ratoon_pipeline *pipeline;
    bool deleted;
} sim_run;
size_t sim_log_runs(void);
sim_run sim_log_run(size_t i);
/* A process of a stage starts: its attempt is recorded as running, the item not as done. */
void sim_log_check_process(ratoon_id run, const char *stage, unsigned attempt, const char *item);
/* Whether one run is an ancestor of the other. */
bool sim_log_ancestor(ratoon_id above, ratoon_id below);
/* A stage of a run; *cancelling_ns: since when the run is being cancelled, 0: it is not. */
const ratoon_stage_def *sim_log_stage(ratoon_id run, const char *stage, uint64_t *cancelling_ns);
bool sim_log_alone(ratoon_id run); /* no other run of its lineage may be active beside it */
/* A run that runs under that executor. */
bool sim_log_executed(ratoon_id executor, ratoon_id *run);
/* What a caller was told. */
void sim_log_told_run(ratoon_id run);
void sim_log_told_none(const char *reason); /* no run was or will be made for it */
void sim_log_told_end(ratoon_id run, const char *stage, unsigned attempt);
void sim_log_told_start(ratoon_id run, const char *stage, unsigned attempt);
void sim_log_told_outcome(ratoon_id run, ratoon_run_status status);
uint64_t sim_log_head(ratoon_id run); /* number of its lineage's last commit */
void sim_log_check_feed(uint64_t after, uint64_t position, ratoon_id lineage, uint64_t commit);
void sim_log_at_rest(void);
uint64_t sim_log_commits(void);

/* ---- commands.c: what processes do ---- */

void sim_commands_open(void);
void sim_commands_close(void);
void sim_command_random(void);         /* starts one */
unsigned sim_command_resume_all(void); /* how many there were to resume */
void sim_command_watch(void);
void sim_command_look(void);
void sim_command_resume(ratoon_id run);
sim_proc *sim_command_executor(ratoon_id *run); /* one that executes that run, or NULL */
void sim_command_verify(void);
void sim_command_last(void); /* executes a run, after which no cascade is due */
const ratoon_pipeline *sim_pipeline(size_t i);
size_t sim_pipelines(void);
unsigned sim_active_max(const ratoon_pipeline *p);
void sim_kill(sim_proc *p); /* SIGKILL */
void sim_signal(sim_proc *p, int number);
void sim_unlock(sim_proc *p); /* its executor's lock falls while it lives on */

/* ---- director.c ---- */

void sim_direct(void *steps);

#endif
