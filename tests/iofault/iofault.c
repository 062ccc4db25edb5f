/* Lets the N-th call of each kind fail in each operation, for each N, and looks at the store
 * afterwards (`run` says how it is used). Each trial is a process of its own. */
#include "tests/iofault/iofault.h"

#include "log/folder.h"
#include "tests/support/limit.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIAL_SECONDS_MAX = 120, SMOKE_TRIALS = 240, TEXT_MAX = 4000 };

static fault_set_fn *set_fault;
static fault_get_fn *get_fault;

static const char pipeline_text[] = "pipeline: fault\n"
                                    "params: {token: {type: string, secret: true}}\n"
                                    "stages:\n"
                                    "  - {name: a, run: [\"true\"], produces: [a]}\n"
                                    "  - {name: b, run: [\"true\"], produces: [b]}\n";

static const struct kind {
    const char *name;
    uint32_t ops;
    int error;
} kinds[] = {
    {"write-eio", 1u << HOOK_WRITE | 1u << HOOK_PWRITE, EIO},
    {"write-full", 1u << HOOK_WRITE | 1u << HOOK_PWRITE | 1u << HOOK_ALLOCATE, ENOSPC},
    {"write-short", 1u << HOOK_WRITE | 1u << HOOK_PWRITE, 0},
    {"sync", 1u << HOOK_SYNC | 1u << HOOK_SYNC_RANGE, EIO},
    {"open", 1u << HOOK_OPEN, EIO},
    {"open-full", 1u << HOOK_OPEN | 1u << HOOK_MKDIR, ENOSPC},
    {"rename", 1u << HOOK_RENAME, EIO},
    {"link", 1u << HOOK_LINK, EIO},
    {"unlink", 1u << HOOK_UNLINK | 1u << HOOK_RMDIR, EIO},
    {"truncate", 1u << HOOK_TRUNCATE | 1u << HOOK_FTRUNCATE, EIO},
    {"mmap", 1u << HOOK_MMAP, ENOMEM},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

void iofault_set(const fault *f)
{
    set_fault(f);
}

void iofault_get(fault_report *report)
{
    get_fault(report);
}

/* ---- one trial ---- */

typedef struct teller {
    int out;
} teller;

static _Noreturn void say(const teller *to, char verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static _Noreturn void say(const teller *to, char verdict, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list list;
    text[0] = verdict;
    va_start(list, format);
    const int size = vsnprintf(text + 1, sizeof text - 1, format, list);
    va_end(list);
    const size_t all = 1 + ((size_t)size < sizeof text - 2 ? (size_t)size : sizeof text - 2);
    _exit(write(to->out, text, all) == (ssize_t)all ? 0 : 1);
}

#define MUST_BE(to, condition, ...)                                                                \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            say(to, 'x', __VA_ARGS__);                                                             \
        }                                                                                          \
    } while (0)

/* Descriptors that are open, one line each. */
static unsigned open_descriptors(char *text, size_t size)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    char own[16];
    text[0] = '\0';
    (void)snprintf(own, sizeof own, "%d", dir != NULL ? dirfd(dir) : -1);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[300];
        char target[PATH_MAX];
        (void)snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        const ssize_t got = readlink(path, target, sizeof target - 1);
        if (got > 0 && strcmp(entry->d_name, own) != 0) {
            target[got] = '\0';
            const size_t used = strlen(text);
            (void)snprintf(text + used, size - used, " %s", target);
            count++;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return count;
}

static bool is_failure_status(ratoon_status status)
{
    return status == RATOON_ERR_IO || status == RATOON_ERR_READ_ONLY ||
           status == RATOON_ERR_NO_MEMORY;
}

void iofault_check_known(trial *t, char *wrong, size_t size)
{
    wrong[0] = '\0';
    for (unsigned i = 0; i < t->known_count; i++) {
        const known *k = &t->known[i];
        ratoon_run_info run;
        ratoon_stage_info stage = {0};
        if (k->stage == -2) {
            continue;
        }
        ratoon_status status = ratoon_run_get(t->store, k->run, &run, &t->error);
        if (k->gone ? status == RATOON_ERR_NOT_FOUND : status == RATOON_OK && k->stage < 0) {
            continue;
        }
        if (!k->gone && status == RATOON_OK) {
            status = ratoon_run_stage(t->store, k->run, (uint32_t)k->stage, &stage, &t->error);
            /* Opening returns stages that were running (L08), and how one ended may be there
             * without having been acknowledged. */
            if (status == RATOON_OK && (stage.status == k->status ||
                                        (k->status == RATOON_STAGE_RUNNING && stage.attempt > 0))) {
                continue;
            }
        }
        char id[RATOON_ID_TEXT];
        ratoon_id_format(k->run, id);
        (void)snprintf(wrong, size, "run %s stage %d: acknowledged %s%s, is %s (%s)", id, k->stage,
                       k->gone ? "deleted" : "",
                       k->stage < 0 ? "created" : ratoon_stage_status_name(k->status),
                       stage.status == 0 ? "not there" : ratoon_stage_status_name(stage.status),
                       ratoon_status_name(status));
        return;
    }
}

/* Opens a store without faults: whole, with all that is known. */
static void look_at(const teller *to, trial *t, const char *path, bool knows)
{
    char wrong[1000];
    ratoon_buffer report = {0};
    size_t problems = 0;
    ratoon_status status = ratoon_store_open(path, &t->options, &t->store, &t->error);
    MUST_BE(to, status == RATOON_OK, "does not open again: %s: %s", ratoon_status_name(status),
            t->error.message);
    if (knows) {
        iofault_check_known(t, wrong, sizeof wrong);
        MUST_BE(to, wrong[0] == '\0', "lost: %s", wrong);
    }
    status = ratoon_verify(t->store, (ratoon_id){{0}}, &report, &problems, &t->error);
    MUST_BE(to, status == RATOON_OK, "can't be verified: %s", t->error.message);
    MUST_BE(to, problems == 0, "does not verify: %s", report.data);
    ratoon_buffer_free(&report);
    ratoon_id run;
    status = trial_run(t, NULL, false, &run);
    MUST_BE(to, status == RATOON_OK, "takes no appends when opened again: %s", t->error.message);
    ratoon_store_close(t->store);
    t->store = NULL;
}

/* What a store that is still open does after the fault. */
static void probe(const teller *to, trial *t, const fault *f)
{
    ratoon_run_info info;
    const bool reads = (f->ops & (1u << HOOK_OPEN | 1u << HOOK_MMAP)) != 0 && f->lasting;
    ratoon_status status = ratoon_run_get(t->store, t->old_failed, &info, &t->error);
    MUST_BE(to, status == RATOON_OK || reads, "can't be read: %s", t->error.message);
    status = ratoon_run_annotate(t->store, t->old_failed, "probe", &t->error);
    MUST_BE(to, status == RATOON_OK || is_failure_status(status), "an append gives %s: %s",
            ratoon_status_name(status), t->error.message);
    if (status == RATOON_ERR_READ_ONLY) {
        MUST_BE(to, strstr(t->error.hint, "open it again") != NULL,
                "read-only, and it does not say what to do: %s", t->error.message);
    }
}

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text);
    const size_t b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Whether something half made lies about. */
static bool leftover(const trial *t, char *name, size_t size)
{
    DIR *dir = opendir(t->folder);
    const struct dirent *entry;
    bool found = false;
    while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
        found = strstr(entry->d_name, ".creating") != NULL;
        (void)snprintf(name, size, "%s", entry->d_name);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

static void after(const teller *to, trial *t, const operation *op, const fault *f,
                  ratoon_status status, const fault_report *report)
{
    char text[8192];
    const char *const made[] = {t->other_path, t->third_path};
    MUST_BE(to, status == RATOON_OK || is_failure_status(status), "ends with %s: %s",
            ratoon_status_name(status), t->error.message);
    MUST_BE(to, status == RATOON_OK || t->error.message[0] != '\0', "says nothing");
    MUST_BE(to,
            !(status == RATOON_OK && report->op == HOOK_SYNC && ends_with(report->path, ".log") &&
              op->mode == RATOON_DURABILITY_SYNC && !op->closes && !op->opens),
            "acknowledged after a failed sync of %s", report->path);
    if (t->store != NULL) {
        probe(to, t, f);
    }
    if (!f->lasting) {
        set_fault(&(fault){0});
    }
    if (t->store != NULL) {
        ratoon_store_close(t->store);
        t->store = NULL;
    }
    set_fault(&(fault){0});
    look_at(to, t, t->store_path, true);
    for (size_t i = 0; i < 2; i++) {
        if (is_there(made[i])) { /* whole, whatever was said */
            look_at(to, t, made[i], false);
        }
    }
    const bool makes = op->act == operations[0].act;
    MUST_BE(to, !makes || status != RATOON_OK || is_there(t->other_path), "is not there");
    MUST_BE(to,
            (f->ops & (1u << HOOK_UNLINK | 1u << HOOK_OPEN)) != 0 ||
                !leftover(t, text, sizeof text),
            "leaves %s behind", text);
}

static void trial_main(const teller *to, const iofault *io, const operation *op, const fault *f)
{
    static trial t;
    char before[8192];
    char behind[8192];
    fault_report report;
    iofault_prepare(io, op->crashed, &t);
    t.options.durability = op->mode;
    support_limit_life(TRIAL_SECONDS_MAX);
    const unsigned descriptors = open_descriptors(before, sizeof before);
    if (!op->opens) {
        MUST_BE(to, trial_open(&t) == RATOON_OK, "can't be opened: %s", t.error.message);
    }
    set_fault(f);
    const ratoon_status status = op->act(&t);
    get_fault(&report);
    if (f->ops == 0) {
        uint64_t counts[KINDS] = {0};
        for (unsigned k = 0; k < KINDS; k++) {
            for (unsigned o = 0; o < HOOK_OPS; o++) {
                counts[k] += (kinds[k].ops & (1u << o)) != 0 ? report.seen[o] : 0;
            }
        }
        MUST_BE(to, status == RATOON_OK, "fails without a fault: %s", t.error.message);
        char text[1 + sizeof counts];
        text[0] = 'c';
        memcpy(text + 1, counts, sizeof counts);
        _exit(write(to->out, text, sizeof text) == sizeof text ? 0 : 1);
    }
    after(to, &t, op, f, status, &report);
    const unsigned now = open_descriptors(behind, sizeof behind);
    MUST_BE(to, now <= descriptors, "leaves descriptors open: before%s; after%s", before, behind);
    say(to, report.fired > 0 ? 'f' : 'u', "%s", ratoon_status_name(status));
}

/* ---- trials ---- */

static void begin(const iofault *io, trial *t)
{
    ratoon_error error = {0};
    *t = (trial){.options = RATOON_STORE_OPTIONS_INIT};
    t->options.no_serve = true;
    t->options.interval_ms = 1;
    t->options.wait_ms = 1;
    (void)snprintf(t->folder, sizeof t->folder, "%s/trial", io->work);
    (void)snprintf(t->store_path, sizeof t->store_path, "%s/store", t->folder);
    (void)snprintf(t->other_path, sizeof t->other_path, "%s/other", t->folder);
    (void)snprintf(t->third_path, sizeof t->third_path, "%s/third", t->folder);
    MUST(ratoon_pipeline_parse("fault.yaml", pipeline_text, strlen(pipeline_text), NULL,
                               &t->pipeline, &error) == RATOON_OK);
}

static void know_from(trial *t, const char *facts)
{
    trial *read = (trial *)support_read_file(facts, NULL);
    t->old_run = read->old_run;
    t->old_failed = read->old_failed;
    t->known_count = read->known_count;
    memcpy(t->known, read->known, sizeof t->known);
    free(read);
}

void iofault_leave(const iofault *io, const trial *t)
{
    char *facts = support_path_join(io->work, "trial.known");
    support_write_file(facts, t, sizeof *t);
    free(facts);
}

void iofault_find(const iofault *io, trial *t)
{
    char *facts = support_path_join(io->work, "trial.known");
    begin(io, t);
    know_from(t, facts);
    free(facts);
}

void iofault_prepare(const iofault *io, bool crashed, trial *t)
{
    ratoon_error error = {0};
    begin(io, t);
    char *from = support_path_join(io->work, crashed ? "crashed" : "template");
    char *facts = support_path_join(io->work, crashed ? "crashed.known" : "template.known");
    if (is_there(from)) {
        support_remove(t->folder);
        MUST(mkdir(t->folder, S_IRWXU) == 0 && mkdir(t->store_path, S_IRWXU) == 0);
        role_must(ratoon__tree_copy(from, t->store_path, NULL, &error) == RATOON_OK, error.message);
        know_from(t, facts);
    } else { /* this is to be the template */
        (void)snprintf(t->store_path, sizeof t->store_path, "%s", from);
        role_must(ratoon_store_create(from, &t->options, &error) == RATOON_OK, error.message);
        role_must(trial_open(t) == RATOON_OK, t->error.message);
        trial_fill(t);
        if (!crashed) {
            ratoon_store_close(t->store);
        }
        support_write_file(facts, t, sizeof *t);
    }
    free(from);
    free(facts);
}

bool iofault_template(const iofault *io, bool crashed)
{
    const pid_t pid = fork();
    int status = 1;
    if (pid == 0) {
        static trial t;
        iofault_prepare(io, crashed, &t);
        _exit(0);
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

/* What the process says: a verdict and a text. */
static char run_trial(const iofault *io, const operation *op, const fault *f, char *text,
                      size_t size)
{
    int ends[2];
    size_t used = 0;
    ssize_t got;
    int status = 0;
    MUST(pipe(ends) == 0);
    const pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        const teller to = {ends[1]};
        trial_main(&to, io, op, f);
    }
    close(ends[1]);
    while (used + 1 < size && (got = read(ends[0], text + used, size - 1 - used)) > 0) {
        used += (size_t)got;
    }
    close(ends[0]);
    (void)waitpid(pid, &status, 0);
    text[used] = '\0';
    if (used == 0) {
        (void)snprintf(text, size, "xends by %s %d", WIFSIGNALED(status) ? "signal" : "exit code",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    return text[0];
}

typedef struct totals {
    unsigned trials, fired, untouched, failed;
} totals;

static void one(const iofault *io, totals *t, const operation *op, const struct kind *kind,
                uint64_t nth, bool lasting, char *verdict)
{
    char text[TEXT_MAX + 1];
    const fault f = {.ops = kind->ops, .nth = nth, .error = kind->error, .lasting = lasting};
    *verdict = run_trial(io, op, &f, text, sizeof text);
    t->trials++;
    t->fired += *verdict == 'f';
    t->untouched += *verdict == 'u';
    if (*verdict == 'x') {
        t->failed++;
        (void)printf("FAILED %s, %s, the %llu. %s: %s\n       again: tests/iofault/run --only %s "
                     "--kind %s --nth %llu%s\n",
                     op->name, kind->name, (unsigned long long)nth,
                     lasting ? "and all behind it" : "alone", text + 1, op->name, kind->name,
                     (unsigned long long)nth, lasting ? " --lasting" : "");
        (void)fflush(stdout);
    }
}

static bool counts_of(const iofault *io, const operation *op, uint64_t counts[KINDS])
{
    char text[TEXT_MAX + 1];
    const fault none = {0};
    if (run_trial(io, op, &none, text, sizeof text) != 'c') {
        (void)printf("FAILED %s: %s\n", op->name, text + 1);
        return false;
    }
    memcpy(counts, text + 1, sizeof *counts * KINDS);
    return true;
}

/* Every N, until the operation passes untouched. */
static void complete(const iofault *io, totals *t, const operation *op)
{
    for (unsigned k = 0; k < KINDS; k++) {
        for (int lasting = 0; lasting < 2; lasting++) {
            char verdict = 'f';
            for (uint64_t n = 1; verdict != 'u'; n++) {
                one(io, t, op, &kinds[k], n, lasting != 0, &verdict);
            }
        }
    }
    (void)printf("%s: %u trials so far, %u failed\n", op->name, t->trials, t->failed);
    (void)fflush(stdout);
}

static bool sample(const iofault *io, totals *t)
{
    static uint64_t counts[64][KINDS];
    support_prng prng = support_prng_new(io->seed);
    for (unsigned i = 0; i < operations_count; i++) {
        if (!counts_of(io, &operations[i], counts[i])) {
            return false;
        }
    }
    for (unsigned i = 0; i < SMOKE_TRIALS && operations_count > 0; i++) {
        const unsigned at = i % operations_count;
        unsigned kind = (unsigned)support_prng_below(&prng, KINDS);
        for (unsigned tries = 0; counts[at][kind] == 0 && tries < KINDS; tries++) {
            kind = (kind + 1) % KINDS;
        }
        if (counts[at][kind] == 0) {
            continue; /* it makes no call that could fail */
        }
        char verdict;
        one(io, t, &operations[at], &kinds[kind], 1 + support_prng_below(&prng, counts[at][kind]),
            support_prng_below(&prng, 2) == 0, &verdict);
    }
    return true;
}

/* ---- options ---- */

static void reach_hooks(char **argv, const char *work)
{
    void *set = dlsym(RTLD_DEFAULT, "fault_set");
    void *get = dlsym(RTLD_DEFAULT, "fault_get");
    if (set == NULL || get == NULL) { /* once more, with the library before all others */
        char self[PATH_MAX] = "";
        char library[PATH_MAX + 32];
        MUST(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
        *strrchr(self, '/') = '\0';
        (void)snprintf(library, sizeof library, "%s/libiofault_inject.so", self);
        MUST(setenv("LD_PRELOAD", library, 1) == 0 && setenv("RATOON_HOOK_FAST", "1", 1) == 0 &&
             setenv("RATOON_HOOK_ROOT", work, 1) == 0);
        (void)execv("/proc/self/exe", argv);
        perror("iofault: exec");
        exit(2);
    }
    (void)unsetenv("LD_PRELOAD");
    memcpy(&set_fault, &set, sizeof set);
    memcpy(&get_fault, &get, sizeof get);
}

static int usage(void)
{
    (void)fprintf(stderr, "usage: run [--smoke | --complete | --full | --closing] [--seed N] "
                          "[--only OPERATION [--kind "
                          "KIND --nth N [--lasting]]]\n");
    return 2;
}

typedef struct choice {
    const char *only, *kind;
    uint64_t nth;
    bool lasting, all, full, closing;
} choice;

static int work(const iofault *io, const choice *c)
{
    totals t = {0};
    bool good = iofault_template(io, false) && iofault_template(io, true);
    bool found = c->only == NULL;
    if (c->full) {
        return good && iofault_full_disk(io) == 0 ? 0 : 1;
    }
    if (c->closing) {
        return good && iofault_closing(io) == 0 ? 0 : 1;
    }
    for (unsigned i = 0; good && i < operations_count; i++) {
        const operation *op = &operations[i];
        if (c->only != NULL && strcmp(c->only, op->name) != 0) {
            continue;
        }
        found = true;
        for (unsigned k = 0; c->kind != NULL && k < KINDS; k++) {
            char verdict;
            if (strcmp(kinds[k].name, c->kind) == 0) {
                one(io, &t, op, &kinds[k], c->nth, c->lasting, &verdict);
            }
        }
        if (c->kind == NULL && (c->all || c->only != NULL)) {
            complete(io, &t, op);
        }
    }
    if (good && found && c->only == NULL && !c->all) {
        good = sample(io, &t);
    }
    if (good && found && c->only == NULL) {
        good = iofault_full_disk(io) == 0;
        good = iofault_closing(io) == 0 && good;
    }
    good = good && found && t.failed == 0 && t.trials > 0;
    (void)printf("I/O errors: %s: seed %llu, %u trials, a fault in %u of them, %u untouched, %u "
                 "failed\n",
                 good ? "passed" : "FAILED", (unsigned long long)io->seed, t.trials, t.fired,
                 t.untouched, t.failed);
    return good ? 0 : 1;
}

/* False: not understood. */
static bool choose(int argc, char **argv, iofault *io, choice *c)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--smoke") == 0) {
            c->all = false;
        } else if (strcmp(argv[i], "--complete") == 0) {
            c->all = true;
        } else if (strcmp(argv[i], "--full") == 0) {
            c->full = true;
        } else if (strcmp(argv[i], "--closing") == 0) {
            c->closing = true;
        } else if (strcmp(argv[i], "--lasting") == 0) {
            c->lasting = true;
        } else if (value == NULL) {
            return false;
        } else if (strcmp(argv[i], "--seed") == 0) {
            io->seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0) {
            c->only = argv[++i];
        } else if (strcmp(argv[i], "--kind") == 0) {
            c->kind = argv[++i];
        } else if (strcmp(argv[i], "--nth") == 0) {
            c->nth = strtoull(argv[++i], NULL, 10);
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *inherited = getenv("RATOON_HOOK_ROOT");
    iofault io = {.work = inherited != NULL ? strdup(inherited) : support_temp_dir("iofault"),
                  .seed = 1};
    reach_hooks(argv, io.work);
    choice c = {.nth = 1};
    const int code = choose(argc, argv, &io, &c) ? work(&io, &c) : usage();
    support_temp_dir_free(io.work);
    return code;
}
