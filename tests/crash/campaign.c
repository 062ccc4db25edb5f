/* Kills processes of a store, again and again, and has what they leave looked at.
 *   store_crash --folder DIR [--seed N] [--kills N] [--seconds N] [--share I/N] [--trace]
 * Prints a line "point NAME reached killed" for each point, and "done KILLS ROUNDS". */
#include "tests/crash/crash.h"
#include "tests/support/limit.h"
#include "tests/support/small_buffers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    STORE_ROUNDS = 40, /* then a new store */
    CHILDREN = 2,      /* at once */
    HANG_MS = 60000,   /* for everything that is going to end by itself */
    LIFE_MS = 250,     /* of a worker that isn't killed */
    FULL_EVERY = 3,    /* checks with derived rows rebuilt */
    REOPENS_MAX = 3,
};

typedef struct child {
    pid_t pid; /* 0: not started, or gone */
    crash_work work;
    crash_stop stop;
    size_t small_buffers;
    uint64_t kill_at_ms; /* 0: not by the campaign */
    bool killed;
} child;

typedef struct campaign {
    const char *folder;
    char *store;
    uint64_t seed, kills_max, deadline_ms;
    uint64_t share, shares; /* begins with another point than the others */
    bool trace;
    crash_shared *shared;
    crash_model model;
    support_prng prng;
    uint64_t kills, rounds, stores, store_round;
    int order[CRASH_POINTS]; /* in which they are aimed at */
    size_t next;
    uint64_t passed; /* points aimed at so far */
    crash_stop aimed;
    uint64_t missed; /* times the point aimed at was not reached */
    uint64_t feed_from;
    char plan[2048]; /* of this round, for the report */
} campaign;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t below(campaign *c, uint64_t bound)
{
    return support_prng_below(&c->prng, bound);
}

static _Noreturn void give_up(const campaign *c, const char *why)
{
    fflush(stdout);
    fprintf(stderr,
            "FAILED in round %" PRIu64 " of seed %" PRIu64 " (share %" PRIu64 "/%" PRIu64
            "): %s\n  plan: %s\n  kept: %s\n",
            c->rounds, c->seed, c->share, c->shares, why, c->plan, c->folder);
    exit(1);
}

__attribute__((format(printf, 2, 3))) static void note(campaign *c, const char *format, ...)
{
    const size_t used = strlen(c->plan);
    va_list args;
    va_start(args, format);
    vsnprintf(c->plan + used, sizeof c->plan - used, format, args);
    va_end(args);
}

/* ---- children ---- */

static void start(campaign *c, child *k, int in, int out)
{
    note(c, " [%u: scenario %d, durability %d, buffers %zu", k->work.process, (int)k->work.scenario,
         (int)k->work.durability, k->small_buffers);
    if (k->stop.point != CRASH_NO_POINT) {
        note(c, ", at %s %" PRIu64, crash_point_name(k->stop.point), k->stop.at);
    }
    note(c, "]");
    fflush(stdout);
    k->pid = fork();
    if (k->pid < 0) {
        give_up(c, "can't fork");
    }
    if (k->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(in);
        k->work.out = out;
        support_small_buffers = k->small_buffers;
        crash_stop_set(c->shared, k->stop);
        _exit(crash_work_main(&k->work));
    }
}

/* Whether it is gone; counts it. Anything but its own end or SIGKILL is a failure. */
static bool reap(campaign *c, child *k, bool wait)
{
    int status = 0;
    if (k->pid == 0) {
        return true;
    }
    const pid_t found = waitpid(k->pid, &status, wait ? 0 : WNOHANG);
    if (found == 0) {
        return false;
    }
    k->pid = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        k->killed = true;
        c->kills++;
    } else if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 4)) {
        char why[128];
        snprintf(why, sizeof why, "process %u ended with %s %d", k->work.process,
                 WIFSIGNALED(status) ? "signal" : "code",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        give_up(c, why);
    }
    return true;
}

/* Takes what is in the pipe; false at its end. */
static bool take(campaign *c, int fd, unsigned *ready)
{
    crash_record r;
    ssize_t got;
    while ((got = read(fd, &r, sizeof r)) == (ssize_t)sizeof r) {
        char why[512];
        *ready += r.said == CRASH_READY;
        if (!crash_model_take(&c->model, &r, why, sizeof why)) {
            give_up(c, why);
        }
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

/* ---- what to do in a round ---- */

static crash_scenario scenario_of(campaign *c, int point)
{
    static const struct {
        const char *prefix;
        crash_scenario scenario;
    } table[] = {{"create.", CRASH_CREATES},  {"open.", CRASH_OPENS},
                 {"recover.", CRASH_OPENS},   {"close.", CRASH_OPENS},
                 {"delete.", CRASH_DELETES},  {"file.", CRASH_DELETES},
                 {"backup.", CRASH_BACKUPS},  {"restore.", CRASH_BACKUPS},
                 {"derived.", CRASH_APPENDS}, {"snapshot.", CRASH_APPENDS}};
    for (size_t i = 0; point != CRASH_NO_POINT && i < sizeof table / sizeof table[0]; i++) {
        if (strncmp(crash_point_name(point), table[i].prefix, strlen(table[i].prefix)) == 0) {
            return table[i].scenario;
        }
    }
    static const crash_scenario any[] = {CRASH_APPENDS, CRASH_APPENDS, CRASH_DELETES,
                                         CRASH_BACKUPS};
    return any[below(c, 4)];
}

static uint64_t times_of(campaign *c, crash_scenario scenario, int point)
{
    if (c->missed > 0) {
        return 1;
    }
    if (point >= RATOON__POINTS) {
        return 1 + below(c, below(c, 2) == 0 ? 20 : 300);
    }
    if (scenario == CRASH_OPENS && strncmp(crash_point_name(point), "recover.", 8) != 0) {
        return 1; /* it is passed once */
    }
    const bool often = strncmp(crash_point_name(point), "append.", 7) == 0 ||
                       strncmp(crash_point_name(point), "witness.", 8) == 0 ||
                       strncmp(crash_point_name(point), "commit.", 7) == 0;
    return 1 + below(c, often ? 60 : 5);
}

static void shuffle(campaign *c)
{
    for (int i = 0; i < CRASH_POINTS; i++) {
        c->order[i] = i;
    }
    support_prng all = support_prng_new(c->seed); /* the same in every share */
    for (int i = CRASH_POINTS - 1; i > 0; i--) {
        const int k = (int)support_prng_below(&all, (uint64_t)i + 1);
        const int swap = c->order[i];
        c->order[i] = c->order[k];
        c->order[k] = swap;
    }
    c->next = (size_t)(c->share * CRASH_POINTS / c->shares);
}

/* No store is executed here: those are for runner.py. */
static bool is_runners(int point)
{
    return point >= RATOON__STORE_POINTS && point < RATOON__POINTS;
}

/* The point that this round aims at. One that was missed is aimed at again, a few times. */
static int aim(campaign *c)
{
    const int before = c->aimed.point;
    if (before != CRASH_NO_POINT && c->missed > 0 && c->missed < 4) {
        return before;
    }
    c->missed = 0;
    do {
        c->next = (c->next + 1) % CRASH_POINTS;
        c->passed++;
    } while (is_runners(c->order[c->next]));
    return c->order[c->next];
}

static child child_new(campaign *c, crash_scenario scenario, uint32_t process)
{
    static const ratoon_durability modes[] = {RATOON_DURABILITY_SYNC, RATOON_DURABILITY_SYNC,
                                              RATOON_DURABILITY_INTERVAL, RATOON_DURABILITY_NONE};
    return (child){.stop = {.point = CRASH_NO_POINT},
                   .small_buffers = below(c, 3) == 0 ? (size_t)64 << 10 : 0,
                   .work = {.folder = c->folder,
                            .store = c->store,
                            .scenario = scenario,
                            .durability = modes[below(c, 4)],
                            .seed = support_prng_next(&c->prng),
                            .round = c->rounds,
                            .process = process,
                            .feed_from = c->feed_from,
                            .life_ms = LIFE_MS,
                            .known = &c->model}};
}

/* What makes a point likely to be reached. */
static void suit(child *k, int point)
{
    const char *name = crash_point_name(point);
    if (strcmp(name, "sync.done") == 0) {
        k->work.durability = RATOON_DURABILITY_INTERVAL;
    } else if (strncmp(name, "witness.", 8) == 0) {
        k->work.durability = RATOON_DURABILITY_SYNC;
    } else if (point >= RATOON__POINTS) {
        k->small_buffers = (size_t)64 << 10; /* files come and go all the time */
    }
}

/* ---- running children until they are gone ---- */

static void kill_due(child *kids, size_t count, uint64_t now)
{
    for (size_t i = 0; i < count; i++) {
        if (kids[i].pid > 0 && kids[i].kill_at_ms != 0 && now >= kids[i].kill_at_ms) {
            kill(kids[i].pid, SIGKILL);
            kids[i].kill_at_ms = 0;
        }
    }
}

/* delays: how long after it is ready each is killed; 0: not. The second is started when the first
 * is ready or gone. */
static void run_children(campaign *c, child *kids, size_t count, const uint64_t *delays)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0) {
        give_up(c, "no pipe");
    }
    (void)fcntl(fds[0], F_SETPIPE_SZ, 1 << 20);
    const uint64_t began = now_ms();
    support_limit limit = support_limit_new(HANG_MS, began);
    size_t started = 0;
    unsigned ready = 0;
    bool open = true, timed = false;
    while (open || started < count) {
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        bool gone = true;
        for (size_t i = 0; i < started; i++) {
            gone = reap(c, &kids[i], false) && gone;
        }
        if (started < count && (started == 0 || ready > 0 || gone)) {
            start(c, &kids[started++], fds[0], fds[1]);
            gone = false;
        }
        const uint64_t now = now_ms();
        if (!timed && started == count && (ready >= count || gone || now > began + 2000)) {
            for (size_t i = 0; i < count; i++) {
                kids[i].kill_at_ms = delays[i] == 0 ? 0 : now + delays[i] - 1;
            }
            timed = true;
        }
        kill_due(kids, started, now);
        if (started == count && fds[1] >= 0) {
            close(fds[1]); /* so that the pipe ends with them */
            fds[1] = -1;
        }
        (void)poll(&p, 1, 1);
        open = take(c, fds[0], &ready);
        if (support_limit_over(&limit, now)) {
            give_up(c, "a worker hangs; it is left for you to look at");
        }
    }
    for (size_t i = 0; i < count; i++) {
        (void)reap(c, &kids[i], true);
    }
    close(fds[0]);
}

/* ---- checking ---- */

static void settle(campaign *c, const crash_record *r)
{
    if (r->said == CRASH_READY) {
        c->feed_from = r->position;
        return;
    }
    if (r->said == CRASH_PRUNED) {
        crash_model_lineage(&c->model, r->root, true)->deleted = true;
        return;
    }
    crash_op *op = crash_model_op(&c->model, r->token);
    op->state = r->said == CRASH_ACKED ? CRASH_OP_FOUND : CRASH_OP_ABSENT;
    op->root = r->root;
}

static void check(campaign *c, const char *store, crash_model *model)
{
    int fds[2];
    fflush(stdout);
    if (pipe2(fds, O_CLOEXEC) != 0) {
        give_up(c, "no pipe");
    }
    const pid_t pid = fork();
    if (pid < 0) {
        give_up(c, "can't fork");
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        if (chdir(c->folder) != 0) {
            _exit(5);
        }
        const crash_check check = {.folder = c->folder,
                                   .store = store,
                                   .model = model,
                                   .out = fds[1],
                                   .full = c->rounds % FULL_EVERY == 0};
        support_limit_life(HANG_MS / 1000);
        _exit(crash_check_main(&check));
    }
    close(fds[1]);
    crash_record r;
    while (read(fds[0], &r, sizeof r) == (ssize_t)sizeof r) {
        if (model == &c->model) {
            settle(c, &r);
        }
    }
    close(fds[0]);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char why[128];
        snprintf(why, sizeof why, "what the processes left is not as it should be (%s %d)",
                 WIFSIGNALED(status) ? "looking at it ended with signal" : "code",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        give_up(c, why);
    }
    for (size_t i = 0; i < model->lineages_count; i++) {
        model->lineages[i].deleting = 0;
    }
    model->pruning = 0;
    model->backup_from = 0;
    model->seen_count = 0;
    model->seen_last = c->feed_from;
}

/* ---- rounds ---- */

/* Somebody opens what was left, and is killed at that, several times. */
static void reopen(campaign *c, int point)
{
    const uint64_t times = point != CRASH_NO_POINT ? 1 + below(c, 2) : below(c, REOPENS_MAX);
    for (uint64_t i = 0; i < times; i++) {
        child k = child_new(c, CRASH_OPENS, 8 + (uint32_t)i);
        uint64_t delay = 0;
        if (point != CRASH_NO_POINT && i == 0) {
            k.stop = c->aimed;
        } else if (below(c, 2) == 0) {
            k.stop.point = (int)below(c, CRASH_POINTS);
            k.stop.at = 1 + below(c, 5);
        } else {
            k.kill_at_ms = now_ms() + below(c, 50);
            delay = 1 + below(c, 3);
        }
        run_children(c, &k, 1, &delay);
        if (point != CRASH_NO_POINT && i == 0) {
            c->missed = k.killed ? 0 : c->missed + 1;
        }
    }
}

static void round_work(campaign *c, crash_scenario scenario, int point)
{
    const bool opens = scenario == CRASH_OPENS;
    const size_t count = below(c, 4) == 0 ? 2 : 1;
    child kids[CHILDREN];
    uint64_t delays[CHILDREN] = {0};
    for (size_t i = 0; i < count; i++) {
        kids[i] = child_new(c, opens ? CRASH_APPENDS : scenario, (uint32_t)i);
        if (i > 0 && kids[i].work.scenario == CRASH_BACKUPS) {
            kids[i].work.scenario = CRASH_APPENDS; /* the two would want one place */
        }
        kids[i].work.feed_from = i + 1 == count ? c->feed_from : UINT64_MAX;
        delays[i] = 1 + below(c, 60);
    }
    if (point != CRASH_NO_POINT && !opens) {
        kids[0].stop = c->aimed;
        suit(&kids[0], point);
        delays[0] = 0;
        delays[1] = count > 1 ? 100 + below(c, 150) : 0;
    } else if (below(c, 8) == 0) {
        delays[0] = 0; /* closes by itself */
    } else if (below(c, 8) == 0) {
        kids[0].kill_at_ms = now_ms() + below(c, 40); /* while it opens */
    }
    run_children(c, kids, count, delays);
    if (point != CRASH_NO_POINT && !opens) {
        c->missed = kids[0].killed ? 0 : c->missed + 1;
    }
    reopen(c, opens ? point : CRASH_NO_POINT);
    check(c, c->store, &c->model);
}

/* A store is made somewhere else; whoever is killed, it is there whole or not at all. */
static void round_create(campaign *c)
{
    char *extra = support_path_join(c->folder, "extra");
    child k = child_new(c, CRASH_CREATES, 0);
    uint64_t delay = 0;
    crash_model nothing = {.ops_count = 0};
    k.work.store = extra;
    k.stop = c->aimed;
    run_children(c, &k, 1, &delay);
    c->missed = k.killed ? 0 : c->missed + 1;
    if (access(extra, F_OK) == 0) {
        check(c, extra, &nothing);
        support_remove(extra);
    }
    crash_model_clear(&nothing);
    free(extra);
}

static void remove_copies(const campaign *c)
{
    static const char *const names[] = {"backup", "restored", "backup.gone", "restored.gone"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = support_path_join(c->folder, names[i]);
        support_remove(path);
        free(path);
    }
}

static void new_store(campaign *c)
{
    if (c->store != NULL) {
        support_remove(c->store);
        free(c->store);
    }
    char name[64];
    snprintf(name, sizeof name, "store-%" PRIu64, ++c->stores);
    c->store = support_path_join(c->folder, name);
    c->store_round = 0;
    c->feed_from = 1;
    crash_model_clear(&c->model);
    c->model.seen_last = 1;
    child k = child_new(c, CRASH_CREATES, 0);
    const uint64_t delay = 0;
    run_children(c, &k, 1, &delay);
}

static void one_round(campaign *c)
{
    c->rounds++;
    c->plan[0] = '\0';
    if (c->store == NULL || c->store_round++ == STORE_ROUNDS) {
        new_store(c);
    }
    /* Once every point of its share, then some rounds without one. */
    const bool first_pass = c->passed <= CRASH_POINTS / c->shares;
    const int point = first_pass || below(c, 3) > 0 ? aim(c) : CRASH_NO_POINT;
    crash_scenario scenario = scenario_of(c, point);
    if (point != CRASH_NO_POINT) {
        c->aimed = (crash_stop){.point = point, .at = times_of(c, scenario, point)};
    }
    if (scenario == CRASH_CREATES) {
        round_create(c);
    } else {
        round_work(c, scenario, point);
    }
    remove_copies(c);
    if (!crash_leftovers(c->folder, c->store, c->plan, sizeof c->plan)) {
        give_up(c, "what is left behind grows");
    }
    if (c->trace) {
        printf("round %" PRIu64 ":%s\n", c->rounds, c->plan);
    }
}

/* ---- the whole ---- */

static uint64_t number(const char *text)
{
    char *end = NULL;
    const uint64_t value = strtoull(text, &end, 0);
    if (end == text) {
        fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return value;
}

static void options(campaign *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            c->trace = true;
        } else if (i + 1 == argc) {
            fprintf(stderr, "%s needs a value\n", argv[i]);
            exit(2);
        } else if (strcmp(argv[i], "--folder") == 0) {
            c->folder = argv[++i];
        } else if (strcmp(argv[i], "--seed") == 0) {
            c->seed = number(argv[++i]);
        } else if (strcmp(argv[i], "--kills") == 0) {
            c->kills_max = number(argv[++i]);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            c->deadline_ms = now_ms() + number(argv[++i]) * 1000;
        } else if (strcmp(argv[i], "--share") == 0) {
            char *slash = strchr(argv[++i], '/');
            c->share = number(argv[i]);
            c->shares = slash == NULL ? 1 : number(slash + 1);
        } else {
            fprintf(stderr, "unknown: %s\n", argv[i]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    campaign c = {.seed = 1, .shares = 1, .aimed = {.point = CRASH_NO_POINT}};
    options(&c, argc, argv);
    if (c.folder == NULL) {
        fprintf(stderr, "--folder is missing\n");
        return 2;
    }
    c.prng = support_prng_new(c.seed * 1000003 + c.share);
    c.shared =
        mmap(NULL, sizeof *c.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.shared == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    shuffle(&c);
    while ((c.kills_max == 0 || c.kills < c.kills_max) &&
           (c.deadline_ms == 0 || now_ms() < c.deadline_ms)) {
        one_round(&c);
    }
    for (int i = 0; i < CRASH_POINTS; i++) {
        if (is_runners(i)) {
            continue;
        }
        printf("point %s %" PRIu64 " %" PRIu64 "\n", crash_point_name(i),
               (uint64_t)atomic_load(&c.shared->reached[i]),
               (uint64_t)atomic_load(&c.shared->killed[i]));
    }
    printf("done %" PRIu64 " %" PRIu64 "\n", c.kills, c.rounds);
    crash_model_clear(&c.model);
    free(c.store);
    return 0;
}
