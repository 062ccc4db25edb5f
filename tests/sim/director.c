/* What happens in a world: commands are given, processes killed, clocks set, the disk fails; then
 * nobody does anything any more and everything must come to rest; then what is left is gone on
 * with, without faults, and the store verified. */
#include "tests/sim/sim.h"

enum { ALIVE_MAX = 9, REST_TRIES = 40 };

static sim_proc *any_process(void)
{
    sim_proc *found = NULL;
    uint64_t seen = 0;
    for (sim_proc *p = sim_procs; p != NULL; p = p->next) {
        if (p->fibers > 0 && !p->dead && !p->over && sim_below(++seen) == 0) {
            found = p;
        }
    }
    return found;
}

static void set_clock(void)
{
    static const int64_t jumps[] = {-3600, -60, -1, 1, 30, 7200, 86400};
    const int64_t by =
        jumps[sim_below(sizeof jumps / sizeof *jumps)] * 1000000 - (int64_t)sim_below(1000000);
    sim_wall_us += by;
    sim_note("the clock is set by %lld us", (long long)by);
}

static void power_cut(void)
{
    sim_note("power cut");
    for (sim_proc *p = sim_procs; p != NULL; p = p->next) {
        if (p->fibers > 0) {
            sim_kill(p);
        }
    }
}

/* Stopped for a while, as by SIGSTOP. */
static void freeze(sim_proc *p)
{
    const uint64_t ns = sim_between(1, 8000) * SIM_MS;
    sim_note("process %d is stopped for %.1f s", p->pid, (double)ns / (double)SIM_S);
    p->frozen_until_ns = sim_now_ns + ns;
}

/* A run is taken away from a process that lives: stopped and without its lock it is taken for dead,
 * and goes on while another one executes. */
static void steal(void)
{
    ratoon_id run;
    sim_proc *p = sim_command_executor(&run);
    if (p == NULL || p == sim_disk_owner()) {
        return;
    }
    sim_unlock(p);
    p->frozen_until_ns = sim_now_ns + sim_between(100, 3000) * SIM_MS;
    sim_command_look(); /* when it goes, the owner looks for executors that are gone */
    sim_sleep(sim_below(200 * SIM_MS));
    sim_command_resume(run);
}

static void disaster(void)
{
    sim_proc *p = any_process();
    const uint64_t dice = sim_below(100);
    if (dice < 30 && p != NULL) {
        sim_kill(p);
    } else if (dice < 42 && p != NULL) {
        sim_signal(p, sim_chance(500) ? 2 : 15);
    } else if (dice < 52) {
        set_clock();
    } else if (dice < 54) {
        power_cut();
    } else if (dice < 64 && p != NULL) {
        if (sim_chance(300)) {
            sim_unlock(p);
        }
        steal();
    } else if (dice < 66 && p != NULL) {
        freeze(p);
    } else if (dice < 70) {
        sim_disk_break(SIM_DISK_SLOW);
    } else if (dice < 74) {
        sim_disk_mend();
    } else if (sim_disk_owner() != NULL && dice < 78) {
        sim_kill(sim_disk_owner());
    } else {
        static const sim_disk_fault faults[] = {
            SIM_DISK_REFUSES,      SIM_DISK_KEEPS,       SIM_DISK_HANGS_UP,   SIM_DISK_HANGS_UP,
            SIM_DISK_KILLS_BEFORE, SIM_DISK_KILLS_AFTER, SIM_DISK_KILLS_OWNER};
        const sim_disk_fault f = faults[sim_below(sizeof faults / sizeof *faults)];
        sim_note("armed: fault %d", (int)f);
        sim_disk_break(f);
    }
}

/* Until no process is left. The patient wait a while before they end those that don't. */
static void come_to_rest(uint64_t patience_ns)
{
    const uint64_t until = sim_now_ns + patience_ns;
    while (sim_alive() > 0 && sim_now_ns < until) {
        sim_sleep(200 * SIM_MS);
    }
    for (int i = 0; sim_alive() > 0 && i < REST_TRIES; i++) {
        for (sim_proc *p = sim_procs; p != NULL; p = p->next) {
            if (p->fibers > 0) {
                sim_signal(p, 15);
            }
        }
        sim_sleep(SIM_S);
    }
    if (sim_alive() > 0) {
        sim_fail("E05", "%u processes do not end when they are told to", sim_alive());
    }
    for (int i = 0; sim_stages_alive() > 0 && i < REST_TRIES; i++) {
        sim_sleep(SIM_S);
    }
    if (sim_stages_alive() > 0) {
        sim_fail("E06", "%u processes of stages outlive their executor", sim_stages_alive());
    }
}

void sim_direct(void *steps)
{
    const unsigned count = *(const unsigned *)steps;
    const bool calm_world = sim_chance(100);
    sim_faults = !calm_world;
    if (sim_chance(400)) {
        sim_command_watch(); /* it owns the store for long, so that the others are clients */
        sim_sleep(50 * SIM_MS);
    }
    for (unsigned i = 0; i < count; i++) {
        if (sim_alive() < ALIVE_MAX && (calm_world || sim_chance(700))) {
            sim_command_random();
        } else if (!calm_world) {
            disaster();
        }
        sim_sleep(sim_chance(700) ? sim_below(100 * SIM_MS) : sim_below(4 * SIM_S));
    }
    sim_note("peace");
    sim_faults = false;
    sim_disk_mend();
    come_to_rest(40 * SIM_S);
    sim_stages_calm(true);
    sim_command_verify();
    come_to_rest(600 * SIM_S);
    sim_log_at_rest();
    unsigned left = sim_command_resume_all();
    const uint64_t until = sim_now_ns + 1500 * SIM_S; /* less than the clock is set back by */
    while (left > 0 && sim_now_ns < until) {
        come_to_rest(400 * SIM_S);
        left = sim_command_resume_all();
    }
    if (left > 0) {
        sim_fail("E01", "%u runs can't be gone on with", left);
    }
    sim_command_last();
    come_to_rest(600 * SIM_S);
    sim_command_verify();
    come_to_rest(600 * SIM_S);
    sim_log_at_rest();
}
