/* Processes of stages. Each lives under its supervisor, which holds the stage's lock until nothing
 * is left of it and ends it when the executor dies; both are here in the place of process.c,
 * spawner.c and the supervisor's program. What a stage says and leaves goes through files. */
#include "tests/sim/sim.h"
#include "tools/runner/capture.h"
#include "tools/runner/lock.h"
#include "tools/runner/process.h"
#include "tools/runner/spawner.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct stage {
    struct stage *next, *all;
    int number;
    sim_proc *executor;      /* NULL once it is dead */
    runner__process *handle; /* NULL likewise */
    ratoon_id run;
    char name[64], item[64], output[512], events[512];
    unsigned attempt;
    int lock_fd;
    uint64_t grace_ns;
    bool terminating, stubborn, gone, unlocked;
    unsigned left;    /* steps that it still takes by itself */
    uint64_t step_ns; /* SIM_NEVER: it hangs */
    int exit_code, signal;
    const char *says; /* on stderr at its end */
    bool broken_output, degraded, item_failed;
    uint64_t started_ns, said_ns, told_to_end_ns; /* 0: not yet */
} stage;

struct runner__process {
    sim_loop *loop;
    stage *s;
    void (*on_output)(void *ctx, int stream, const char *data, size_t size);
    void (*on_end)(void *ctx, const runner__process_end *end);
    void *ctx;
    runner__process_end end;
    bool ended; /* on_end is posted */
    char err[256];
};

struct runner__spawner {
    int unused;
};

#define SLACK_NS (15 * SIM_S) /* for slow disks, new owners, and the time between two looks */

static stage *stages, *all_stages;
static int last_number;
static bool calm;

/* What an executor that can do so must do in time: end what is over its time-out, says nothing, or
 * is of a run that is being cancelled. */
static void check_ended_in_time(const stage *s)
{
    const sim_proc *p = s->executor;
    if (p == NULL || p->unlocked || sim_now_ns < p->frozen_until_ns + SLACK_NS ||
        sim_now_ns < s->started_ns + SLACK_NS) {
        return;
    }
    uint64_t since = 0;
    const ratoon_stage_def *def = sim_log_stage(s->run, s->name, &since);
    const uint64_t late = sim_now_ns - SLACK_NS;
    if (def->timeout_ms > 0 && s->started_ns + def->timeout_ms * SIM_MS + s->grace_ns < late) {
        sim_fail("A06", "%s goes on beyond its time-out of %llu ms", s->name,
                 (unsigned long long)def->timeout_ms);
    }
    if (def->heartbeat_ms > 0 && s->told_to_end_ns == 0 &&
        s->said_ns + def->heartbeat_ms * SIM_MS < late) {
        sim_fail("A06", "%s says nothing for more than %llu ms and goes on", s->name,
                 (unsigned long long)def->heartbeat_ms);
    }
    if (since > 0 && since < late && s->told_to_end_ns == 0) {
        sim_fail("E05", "%s goes on %.1f s after its run was cancelled", s->name,
                 (double)(sim_now_ns - since) / (double)SIM_S);
    }
}

static void check_now_and_then(void *ctx)
{
    for (const stage *s = stages; s != NULL; s = s->next) {
        check_ended_in_time(s);
    }
    sim_after(SIM_S, check_now_and_then, ctx);
}

void sim_stages_open(void)
{
    check_now_and_then(NULL);
}

unsigned sim_stages_alive(void)
{
    unsigned n = 0;
    for (const stage *s = stages; s != NULL; s = s->next) {
        n += !s->gone;
    }
    return n;
}

void sim_stages_close(void)
{
    while (all_stages != NULL) {
        stage *s = all_stages;
        all_stages = s->all;
        free(s);
    }
}

void sim_stages_calm(bool calm_)
{
    calm = calm_;
}

/* Where its executor has died and its folder is gone, nothing is written. */
static void write_to(const char *path, int flags, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        close(fd);
    }
}

/* ---- its end ---- */

static void deliver_end(void *ctx)
{
    runner__process *p = ctx;
    sim_loop_hold(p->loop, -1);
    if (p->err[0] != '\0' && p->on_output != NULL) {
        p->on_output(p->ctx, 2, p->err, strlen(p->err));
    }
    p->on_end(p->ctx, &p->end);
    free(p);
}

static void post_end(runner__process *p, runner__process_end end)
{
    if (!p->ended) {
        p->ended = true;
        p->end = end;
        sim_loop_post(p->loop, deliver_end, p);
    }
}

/* Nothing is left of it. */
static void stage_gone(void *ctx)
{
    stage *s = ctx;
    if (s->gone) {
        return;
    }
    s->gone = true;
    close(s->lock_fd);
    sim_note("stage process %d is gone: exit %d, signal %d", s->number, s->exit_code, s->signal);
    if (s->handle != NULL) {
        runner__process *p = s->handle;
        s->handle = NULL;
        p->s = NULL;
        const bool lost = sim_faults && sim_chance(4); /* its supervisor was killed */
        (void)snprintf(p->err, sizeof p->err, "%s", s->says);
        post_end(p, lost ? (runner__process_end){.exit_code = -1, .signal = 9, .lost = true}
                         : (runner__process_end){.exit_code = s->exit_code, .signal = s->signal});
    }
    for (stage **at = &stages; *at != NULL; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    /* Timers may still point to it: it is freed when the world is. */
    s->next = NULL;
}

static void stage_killed(void *ctx)
{
    stage *s = ctx;
    if (!s->gone) {
        s->exit_code = -1;
        s->signal = 9;
        s->says = "";
        stage_gone(s);
    }
}

/* ---- what it does by itself ---- */

/* It used the result of a run (R22). */
static void consume(stage *s)
{
    char line[128];
    ratoon_id found = {{0}};
    uint64_t seen = 0;
    for (size_t i = 0; i < sim_log_runs(); i++) {
        const sim_run r = sim_log_run(i);
        if (!r.deleted && ratoon_run_status_terminal(r.status) && sim_below(++seen) == 0) {
            found = r.id;
        }
    }
    if (seen > 0) {
        char id[RATOON_ID_TEXT];
        ratoon_id_format(found, id);
        (void)snprintf(line, sizeof line, "{\"consumes\":\"%s\"}\n", id);
        write_to(s->events, O_APPEND, line);
    }
}

static void say(stage *s)
{
    char line[256];
    (void)snprintf(line, sizeof line, "{\"progress\":{\"done\":%u,\"total\":9}}\n", 9 - s->left);
    write_to(s->events, O_APPEND, line);
    s->said_ns = s->told_to_end_ns == 0 ? sim_now_ns : s->said_ns;
}

static void finish_by_itself(stage *s)
{
    char text[1024];
    if (sim_chance(80)) {
        consume(s);
    }
    if (s->degraded) {
        write_to(s->events, O_APPEND, "{\"degraded\":\"as planned\"}\n");
    }
    if (s->item_failed) {
        (void)snprintf(text, sizeof text,
                       "{\"item\":\"%s\",\"status\":\"failed\",\"error\":\"as planned\"}\n",
                       s->item);
        write_to(s->events, O_APPEND, text);
    }
    (void)snprintf(text, sizeof text, "%s{\"k_%s\":\"%s %u %s\",\"things\":[\"a\",\"b\",\"c\"]}",
                   s->broken_output ? "{" : "", s->name, s->name, s->attempt, s->item);
    write_to(s->output, O_TRUNC, text);
    sim_after(sim_chance(60) ? sim_below(SIM_S) : sim_below(SIM_MS), stage_gone, s);
}

static void stage_step(void *ctx)
{
    stage *s = ctx;
    if (s->gone || s->terminating) {
        return;
    }
    if (s->left > 0) {
        s->left--;
        if (s->left % 2 == 0) {
            say(s);
        }
        sim_after(s->step_ns, stage_step, s);
        return;
    }
    s->terminating = true;
    finish_by_itself(s);
}

typedef struct fate {
    unsigned weight;
    int exit_code, signal;
    const char *says;
} fate;

static void plan(stage *s)
{
    static const fate fates[] = {{700, 0, -1, ""},
                                 {60, 3, -1, "it broke\n"},
                                 {90, 75, -1, "try again\n"},
                                 {40, 1, -1, "connection refused\n"},
                                 {60, 1, -1, "CUDA out of memory\n"},
                                 {30, -1, 11, ""},
                                 {20, 124, -1, ""}};
    const fate *f = &fates[0];
    uint64_t dice = calm ? 0 : sim_below(1000);
    for (size_t i = 0; i < sizeof fates / sizeof *fates; i++) {
        f = &fates[i];
        if (dice < f->weight) {
            break;
        }
        dice -= f->weight;
    }
    s->exit_code = f->exit_code;
    s->signal = f->signal;
    s->says = f->says;
    s->left = (unsigned)sim_below(4);
    s->step_ns = sim_chance(100) ? sim_below(900 * SIM_MS) : sim_below(90 * SIM_MS);
    if (!calm && sim_chance(25)) {
        s->step_ns = 3600 * SIM_S; /* it hangs */
    }
    s->broken_output = !calm && sim_chance(10);
    s->degraded = sim_chance(40);
    s->item_failed = !calm && s->item[0] != '\0' && sim_chance(60);
    s->stubborn = sim_chance(100);
}

/* ---- starting ---- */

static const char *variable(char *const *env, const char *name)
{
    const size_t size = strlen(name);
    for (size_t i = 0; env[i] != NULL; i++) {
        if (strncmp(env[i], name, size) == 0 && env[i][size] == '=') {
            return env[i] + size + 1;
        }
    }
    return "";
}

/* L08: no attempt starts before the last process of the one before is gone, here or above. */
static void check_alone(const stage *s)
{
    for (const stage *other = stages; other != NULL; other = other->next) {
        const bool same = ratoon_id_equal(other->run, s->run);
        if (strcmp(other->name, s->name) != 0 || (same && other->attempt == s->attempt) ||
            other->unlocked) {
            continue;
        }
        /* Branches that may be active side by side execute the same stages side by side. */
        if (same || (other->executor == NULL && sim_log_ancestor(other->run, s->run) &&
                     sim_log_alone(s->run))) {
            sim_fail("L08", "attempt %u of %s starts while stage process %d of attempt %u lives",
                     s->attempt, s->name, other->number, other->attempt);
        }
    }
    for (const stage *other = stages; other != NULL; other = other->next) {
        if (ratoon_id_equal(other->run, s->run) && !other->unlocked &&
            strcmp(other->name, s->name) == 0 && strcmp(other->item, s->item) == 0) {
            sim_fail("L08", "%s %s is executed twice at once", s->name, s->item);
        }
    }
}

int runner__process_start(uv_loop_t *loop, const runner__process_spec *spec, runner__process **out)
{
    sim_proc *me = sim_self();
    if (me->dead || (sim_faults && sim_chance(4))) {
        return UV_EAGAIN;
    }
    stage *s = calloc(1, sizeof *s);
    s->number = ++last_number;
    (void)snprintf(s->name, sizeof s->name, "%s", variable(spec->env, "RATOON_STAGE"));
    (void)snprintf(s->item, sizeof s->item, "%s", variable(spec->env, "RATOON_ITEM"));
    (void)snprintf(s->output, sizeof s->output, "%s", variable(spec->env, "RATOON_OUTPUT"));
    (void)snprintf(s->events, sizeof s->events, "%s", variable(spec->env, "RATOON_EVENTS"));
    s->attempt = (unsigned)strtoul(variable(spec->env, "RATOON_ATTEMPT"), NULL, 10);
    if (ratoon_id_parse(variable(spec->env, "RATOON_RUN"), &s->run) != RATOON_OK) {
        sim_fail("simulation", "a stage without a run");
    }
    plan(s);
    sim_note("stage process %d: %s %u %s, exit %d after %u x %.1f ms", s->number, s->name,
             s->attempt, s->item, s->exit_code, s->left + 1, (double)s->step_ns / SIM_US / 1000);
    s->unlocked = me->unlocked;
    if (!me->unlocked) { /* one without its lock is fenced off the log, which it learns late */
        sim_log_check_process(s->run, s->name, s->attempt, s->item);
        check_alone(s);
    }
    s->lock_fd = runner__lock_shared(spec->lock_path);
    if (s->lock_fd < 0) {
        sim_fail("simulation", "the lock %s can't be taken", spec->lock_path);
    }
    s->grace_ns = spec->grace_ms * SIM_MS;
    s->executor = me;
    s->started_ns = s->said_ns = sim_now_ns;
    s->next = stages;
    stages = s;
    s->all = all_stages;
    all_stages = s;
    runner__process *p = calloc(1, sizeof *p);
    p->loop = sim_loop_of(loop);
    p->s = s;
    p->on_output = spec->on_output;
    p->on_end = spec->on_end;
    p->ctx = spec->ctx;
    s->handle = p;
    sim_loop_hold(p->loop, 1);
    sim_after(s->step_ns, stage_step, s);
    *out = p;
    return 0;
}

/* ---- being stopped ---- */

void sim_stages_check_quiet(ratoon_id run, const char *name, unsigned attempt, uint64_t quiet_ms)
{
    for (const stage *s = all_stages; s != NULL; s = s->all) {
        if (ratoon_id_equal(s->run, run) && s->attempt == attempt && strcmp(s->name, name) == 0 &&
            s->told_to_end_ns != 0 && s->said_ns + quiet_ms * SIM_MS > s->told_to_end_ns + SIM_MS) {
            sim_fail("A06", "%s is ended after %.3f ms without an event, %llu are allowed", name,
                     (double)(s->told_to_end_ns - s->said_ns) / (double)SIM_MS,
                     (unsigned long long)quiet_ms);
        }
    }
}

static void kill_soon(stage *s)
{
    s->terminating = true;
    sim_after(sim_below(2 * SIM_MS), stage_killed, s);
}

static void grace_over(void *ctx)
{
    stage *s = ctx;
    if (!s->gone) {
        kill_soon(s);
    }
}

static void stage_obeys(void *ctx)
{
    stage *s = ctx;
    if (!s->gone) {
        s->exit_code = -1;
        s->signal = 15;
        s->says = "";
        stage_gone(s);
    }
}

/* A dead executor's handles end at once, so that what is left of it comes to an end. */
static bool of_dead(runner__process *p)
{
    if (sim_self() == NULL || !sim_self()->dead) {
        return false;
    }
    post_end(p, (runner__process_end){.exit_code = -1, .signal = 9, .lost = true});
    return true;
}

void runner__process_terminate(runner__process *p)
{
    stage *s = p->s;
    if (of_dead(p) || s == NULL || s->terminating) {
        return;
    }
    sim_note("SIGTERM to stage process %d", s->number);
    s->told_to_end_ns = sim_now_ns;
    sim_after(s->grace_ns, grace_over, s);
    if (sim_chance(100)) {
        return; /* it goes on, and ends by itself perhaps */
    }
    s->terminating = true;
    if (!s->stubborn) {
        sim_after(sim_below(20 * SIM_MS), stage_obeys, s);
    }
}

void runner__process_kill(runner__process *p)
{
    stage *s = p->s;
    if (!of_dead(p) && s != NULL) {
        sim_note("SIGKILL to stage process %d", s->number);
        kill_soon(s);
    }
}

/* Its control channel ends, and the supervisor ends the stage. */
void sim_stages_died(sim_proc *p)
{
    for (stage *s = stages; s != NULL; s = s->next) {
        if (s->executor == p) {
            s->executor = NULL;
            s->terminating = true;
            if (s->handle != NULL) {
                s->handle->s = NULL;
                post_end(s->handle,
                         (runner__process_end){.exit_code = -1, .signal = 9, .lost = true});
                s->handle = NULL;
            }
            sim_after(sim_chance(80) ? sim_below(4 * SIM_S) : sim_below(5 * SIM_MS), stage_killed,
                      s);
        }
    }
}

/* ---- in the place of capture.c: what stages print is not kept ---- */

struct runner__capture {
    int unused;
};

runner__capture *runner__capture_new(const char *path, uint64_t limit, bool lazy)
{
    static runner__capture none;
    (void)path;
    (void)limit;
    (void)lazy;
    return &none;
}

void runner__capture_add(runner__capture *capture, const char *data, size_t size)
{
    (void)capture;
    (void)data;
    (void)size;
}

runner__capture_result runner__capture_end(runner__capture *capture, bool sync)
{
    (void)capture;
    (void)sync;
    return (runner__capture_result){0};
}

/* ---- in the place of spawner.c ---- */

runner__spawner *runner__spawner_new(const char *self)
{
    (void)self;
    return calloc(1, sizeof(runner__spawner));
}

int runner__spawner_request(runner__spawner *spawner, const runner__process_spec *spec,
                            const int fds[3])
{
    (void)spawner;
    (void)spec;
    (void)fds;
    return -1;
}

void runner__spawner_free(runner__spawner *spawner)
{
    free(spawner);
}
