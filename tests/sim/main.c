/* Simulation: whole worlds of processes in one thread, each from a seed.
 *   sim --seeds N [--seed FIRST] [--steps K] [--jobs J] [--twice] [--trace] [--stop]
 * Each seed is a world of its own in a process of its own. Prints how many there were, the hash of
 * everything that happened in them, and a verdict; for a seed that fails, the end of its trace and
 * the command that repeats it. --twice executes each seed twice and compares.
 *
 * Real, unchanged and linked as they are: the core; codec, committer, projections, values,
 * recovery, attaching and its look-up of lost appends, executor and stage locks, the memory driver;
 * replay with feed, verify, cascades; the runner with its schedule, attempts, back-off, time-outs,
 * items, events and outputs through files; of the command executing, queued runs, chains of
 * automatic retries and cascades; the libuv adapter.
 *
 * Simulated, by the linker: threads, locks and conditions (coroutines, fiber.c, threads.c), the
 * monotonic clock, the wall clock, which may be set at any time, randomness, libuv (loop.c),
 * processes of stages and their supervisors (stage.c), files (files.c), and in disk.c who owns the
 * store, connections to the owner, slow and failing syncs. A process is killed by letting what is
 * left of it run with every call to the world failing, so that its memory is freed.
 *
 * Not simulated: the RocksDB driver with its derived rows, torn tails and witness, and the bytes of
 * the socket protocol (integration tests, fuzzers and the harnesses that kill real processes do
 * that); captured output of stages; a group is stored and synced in one instant, so that durability
 * modes other than the default make no difference; threads change places at locks, waits and calls
 * of the driver only, so data races are for the thread sanitizer; memory that runs out; several
 * machines. */
#include "tests/sim/sim.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

typedef struct options {
    uint64_t seed, seeds;
    unsigned steps, jobs;
    bool twice, trace, stop;
} options;

typedef struct result { /* what a world's process tells */
    uint64_t seed, hash, commits, runs, switches, virtual_ms;
    bool good;
} result;

static FILE *output;

static void world(const options *o, uint64_t seed, result *out)
{
    unsigned steps = o->steps;
    sim_seed(seed, o->trace, output);
    sim_files_open();
    sim_disk_open();
    sim_log_open();
    sim_stages_open();
    sim_commands_open();
    sim_play(sim_direct, &steps);
    *out = (result){.seed = seed,
                    .hash = sim_hash_value(),
                    .commits = sim_log_commits(),
                    .runs = sim_log_runs(),
                    .switches = sim_switches(),
                    .virtual_ms = sim_now_ns / SIM_MS,
                    .good = true};
    sim_stages_close();
    sim_commands_close();
    sim_log_close();
    sim_disk_close();
    sim_files_close();
}

/* ---- a process for each world ---- */

typedef struct child {
    pid_t pid;
    int fd;
    uint64_t seed;
} child;

static child child_start(const options *o, uint64_t seed)
{
    int fds[2];
    if (pipe(fds) != 0) {
        abort();
    }
    fflush(output);
    const pid_t pid = fork();
    if (pid < 0) {
        abort();
    }
    if (pid == 0) {
        result r = {0};
        close(fds[0]);
        world(o, seed, &r);
        if (write(fds[1], &r, sizeof r) != sizeof r) {
            abort();
        }
        fflush(output);
        exit(0); /* not _exit: what looks for leaks does so now */
    }
    close(fds[1]);
    return (child){.pid = pid, .fd = fds[0], .seed = seed};
}

static result child_end(const child *c)
{
    result r = {0};
    int status = 0;
    if (read(c->fd, &r, sizeof r) != sizeof r) {
        r = (result){.seed = c->seed};
    }
    close(c->fd);
    if (waitpid(c->pid, &status, 0) != c->pid || status != 0) {
        r.good = false;
        if (WIFSIGNALED(status)) {
            fprintf(output, "seed %" PRIu64 " ended by signal %d\n", c->seed, WTERMSIG(status));
        }
    }
    return r;
}

typedef struct totals {
    uint64_t seeds, failed, differing, hash, commits, runs, switches, virtual_ms;
} totals;

static uint64_t mix(uint64_t seed, uint64_t hash)
{
    support_prng p = support_prng_new(hash ^ (seed * UINT64_C(0x9E3779B97F4A7C15)));
    return support_prng_next(&p);
}

static void count(totals *t, const options *o, const result *r)
{
    t->seeds++;
    if (!r->good) {
        t->failed++;
        fprintf(output,
                "seed %" PRIu64 " failed; repeat it with: sim --seeds 1 --seed %" PRIu64
                " --steps %u --trace\n",
                r->seed, r->seed, o->steps);
        return;
    }
    t->hash += mix(r->seed, r->hash);
    t->commits += r->commits;
    t->runs += r->runs;
    t->switches += r->switches;
    t->virtual_ms += r->virtual_ms;
}

static void take(totals *t, const options *o, const child *c)
{
    result r = child_end(c);
    count(t, o, &r);
    if (o->twice && r.good) {
        const child again = child_start(o, c->seed);
        const result second = child_end(&again);
        if (!second.good || second.hash != r.hash) {
            t->differing++;
            fprintf(output, "seed %" PRIu64 " differs: %016" PRIx64 " and %016" PRIx64 "\n",
                    c->seed, r.hash, second.hash);
        }
    }
}

/* In order, so that the output is. */
static void run_all(const options *o, totals *t)
{
    child *children = calloc(o->jobs, sizeof *children);
    uint64_t started = 0, ended = 0;
    while (ended < started || started < o->seeds) {
        const bool stop = o->stop && t->failed > 0;
        if (!stop && started < o->seeds && started - ended < o->jobs) {
            children[started % o->jobs] = child_start(o, o->seed + started);
            started++;
        } else if (ended < started) {
            take(t, o, &children[ended++ % o->jobs]);
        } else {
            break;
        }
    }
    free(children);
}

static bool options_read(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--twice") == 0) {
            o->twice = true;
            continue;
        }
        if (strcmp(argv[i], "--trace") == 0) {
            o->trace = true;
            continue;
        }
        if (strcmp(argv[i], "--stop") == 0) {
            o->stop = true;
            continue;
        }
        char *end = NULL;
        const uint64_t number = value != NULL ? strtoull(value, &end, 10) : 0;
        if (value == NULL || *value == '\0' || *end != '\0') {
            return false;
        }
        if (strcmp(argv[i], "--seeds") == 0) {
            o->seeds = number;
        } else if (strcmp(argv[i], "--seed") == 0) {
            o->seed = number;
        } else if (strcmp(argv[i], "--steps") == 0) {
            o->steps = (unsigned)number;
        } else if (strcmp(argv[i], "--jobs") == 0 && number > 0) {
            o->jobs = (unsigned)number;
        } else {
            return false;
        }
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    options o = {
        .seed = 1, .seeds = 1000, .steps = 40, .jobs = processors > 0 ? (unsigned)processors : 1};
    totals t = {0};
    if (!options_read(argc, argv, &o)) {
        fputs("usage: sim [--seeds N] [--seed FIRST] [--steps K] [--jobs J] [--twice] [--trace] "
              "[--stop]\n",
              stderr);
        return 2;
    }
    output = fdopen(dup(STDOUT_FILENO), "w");
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (output == NULL || nowhere < 0) {
        return 2;
    }
    (void)dup2(nowhere, STDOUT_FILENO); /* what commands print */
    (void)dup2(nowhere, STDERR_FILENO);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_set_report_fd((void *)(intptr_t)fileno(output));
#endif
    run_all(&o, &t);
    fprintf(output,
            "simulation: %" PRIu64 " seeds from %" PRIu64 ", %u steps: %" PRIu64 " runs, %" PRIu64
            " commits, %" PRIu64 " switches, %.1f h of virtual time; hash %016" PRIx64 "\n"
            "%s: %" PRIu64 " failed, %" PRIu64 " differ when repeated\n",
            t.seeds, o.seed, o.steps, t.runs, t.commits, t.switches, (double)t.virtual_ms / 3600000,
            t.hash, t.failed == 0 && t.differing == 0 ? "good" : "BAD", t.failed, t.differing);
    (void)fclose(output);
    return t.failed == 0 && t.differing == 0 ? 0 : 1;
}
