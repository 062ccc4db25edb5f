/* Loses power over and over: `tests/power/run` says how it is used, docs/power-loss.md what it
 * does. */
#include "tests/power/power.h"

#include "tests/power/oracle.h"
#include "tests/power/workload.h"
#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IMAGES_PER_RECORD = 250, AGAIN_EVERY = 4, NESTED_EVERY = 16, NESTED_IMAGES = 4 };

/* Images are looked at by this program; nothing is gained by waiting for the real disk. The
 * workload is another one. */
__attribute__((visibility("default"))) int fsync(int fd)
{
    (void)fd;
    return 0;
}
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

typedef struct totals {
    unsigned records, images, nested;
    unsigned holds, reported, unseen, failed;
    unsigned lying, lying_holds;
    unsigned by_mode[3];
} totals;

/* ---- the workload ---- */

static char *in_folder(const char *folder, const char *name)
{
    return support_path_join(folder, name);
}

int power_start_workload(const power *p, const char *root, const char *mode, uint64_t seed,
                         const char *record, bool marks)
{
    char *program = in_folder(p->programs, "power_workload");
    char *library = in_folder(p->programs, "libpower_record.so");
    char seed_text[32];
    char scale_text[32];
    (void)snprintf(seed_text, sizeof seed_text, "%llu", (unsigned long long)seed);
    (void)snprintf(scale_text, sizeof scale_text, "%u", p->scale);
    const pid_t pid = fork();
    if (pid < 0) {
        power_fail("can't fork");
    }
    if (pid == 0) {
        if (marks && freopen("/dev/null", "w", stderr) == NULL) { /* it will have complaints */
            _exit(127);
        }
        (void)setenv("LD_PRELOAD", library, 1);
        (void)setenv("RATOON_HOOK_ROOT", root, 1);
        (void)setenv("RATOON_RECORD", record, 1);
        (void)setenv(marks ? "RATOON_RECORD_MARKS" : "RATOON_HOOK_FAST", "1", 1);
        (void)execl(program, program, root, mode, seed_text, scale_text, (char *)NULL);
        _exit(127);
    }
    free(program);
    free(library);
    return pid;
}

bool power_wait(int pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- images ---- */

static void fresh_folder(const char *path)
{
    support_remove(path);
    if (mkdir(path, S_IRWXU) != 0) {
        power_fail("can't make %s", path);
    }
}

static void keep(const power *p, const disk *d, const image_choice *c, const char *record,
                 const char *name, const char *text)
{
    char *folder = in_folder(p->keep, name);
    char *image = in_folder(folder, "image");
    char *copy = in_folder(folder, "record");
    char *why = in_folder(folder, "why");
    char described[256];
    size_t size;
    (void)mkdir(p->keep, S_IRWXU);
    fresh_folder(folder);
    fresh_folder(image);
    image_make(d, c, image);
    char *bytes = support_read_file(record, &size);
    support_write_file(copy, bytes, size);
    image_describe(c, described, sizeof described);
    FILE *file = fopen(why, "w");
    if (file != NULL) {
        (void)fprintf(file, "%s\n%s\n", described, text);
        fclose(file);
    }
    free(bytes);
    free(folder);
    free(image);
    free(copy);
    free(why);
}

typedef struct session {
    const power *p;
    totals *t;
    const char *mode;
    char *root, *record, *image;
    uint64_t seed; /* of this recording */
    unsigned number;
} session;

static void count(totals *t, const image_choice *c, oracle_verdict verdict)
{
    t->images++;
    t->holds += verdict == ORACLE_HOLDS;
    t->reported += verdict == ORACLE_REPORTED;
    t->unseen += verdict == ORACLE_UNSEEN;
    t->failed += verdict == ORACLE_FAILED;
    t->lying += c->lying != 0;
    t->lying_holds += c->lying != 0 && verdict == ORACLE_HOLDS;
}

static void failed(const session *s, const disk *d, const image_choice *c, unsigned image,
                   const char *record, const char *text)
{
    char name[128];
    char described[256];
    (void)snprintf(name, sizeof name, "%s-%llu-%u", s->mode, (unsigned long long)s->seed, image);
    image_describe(c, described, sizeof described);
    (void)printf("FAILED %s: %s\n       %s\n       kept in %s/%s; again: tests/power/run "
                 "--again %s/%s\n",
                 name, described, text, s->p->keep, name, s->p->keep, name);
    char why[8192];
    (void)snprintf(why, sizeof why, "%s\nmode %s\nroot %s\nseed %llu\nlying %d\n%s", text, s->mode,
                   s->root, (unsigned long long)(s->seed + image), c->lying != 0,
                   strcmp(record, s->record) != 0 ? "nested\n" : "");
    keep(s->p, d, c, record, name, why);
}

/* Power is lost once more while a store recovers from the first loss. */
static void nested(session *s, const expect *e, const image_choice *first, unsigned image)
{
    char text[4096];
    char *again = in_folder(s->p->work, "again");
    char *record = in_folder(s->p->work, "record-again");
    char *begun = in_folder(s->p->work, "begun");
    fresh_folder(begun);
    fresh_folder(s->image);
    image_make(e->d, first, begun);
    image_make(e->d, first, s->image);
    (void)unlink(record);
    if (!power_wait(power_start_workload(s->p, begun, "reopen", 0, record, false))) {
        (void)printf("FAILED: the recovery of an image\n");
        failed(s, e->d, first, image, s->record, "its recovery ended with an error");
        s->t->failed++;
    } else if (access(record, F_OK) == 0) { /* there was something to recover */
        disk *d = disk_load(record, begun, s->image, 0);
        for (unsigned i = 0; d->moments > 0 && i < NESTED_IMAGES; i++) {
            const image_choice c = image_choose(d, s->seed + image * 1000 + i, false);
            fresh_folder(again);
            image_make(d, &c, again);
            const oracle_verdict verdict =
                oracle_look(e, first, s->root, again, false, text, sizeof text);
            count(s->t, &c, verdict);
            s->t->nested++;
            if (verdict != ORACLE_HOLDS) {
                failed(s, d, &c, image * 1000 + i, record, text);
            }
        }
        disk_free(d);
    }
    support_remove(again);
    support_remove(begun);
    free(again);
    free(begun);
    free(record);
}

static bool is_enough(const session *s)
{
    return s->p->first_failure && s->t->failed > 0;
}

static void look_at_images(session *s, const disk *d, unsigned images)
{
    const ratoon_durability mode = workload_mode(s->mode);
    char text[4096];
    expect *e = expect_load(d, mode, true);
    for (unsigned i = 0; i < images && !is_enough(s); i++) {
        const bool lies = mode == RATOON_DURABILITY_SYNC && i % 5 == 4;
        const image_choice c = image_choose(d, s->seed + i, lies);
        fresh_folder(s->image);
        image_make(d, &c, s->image);
        const oracle_verdict verdict =
            oracle_look(e, &c, s->root, s->image, i % AGAIN_EVERY == 0, text, sizeof text);
        count(s->t, &c, verdict);
        if (verdict == ORACLE_FAILED) {
            failed(s, d, &c, i, s->record, text);
        } else if (!lies && i % NESTED_EVERY == NESTED_EVERY - 1) {
            nested(s, e, &c, i);
        }
    }
    expect_free(e);
}

/* One recording and images of it; false where the workload or the record is no good. */
static bool record_and_look(const power *p, totals *t, const char *mode, unsigned number,
                            unsigned images)
{
    session s = {.p = p, .t = t, .mode = mode, .number = number};
    s.seed = p->seed + number * UINT64_C(1000000);
    s.root = in_folder(p->work, "root");
    s.record = in_folder(p->work, "record");
    s.image = in_folder(p->work, "image");
    fresh_folder(s.root);
    (void)unlink(s.record);
    bool good = power_wait(power_start_workload(p, s.root, mode, s.seed + number, s.record, false));
    if (!good) {
        (void)printf("FAILED: the workload (%s, seed %llu) did not end well\n", mode,
                     (unsigned long long)s.seed);
    } else {
        disk *d = disk_load(s.record, s.root, NULL, 0);
        good = disk_is_at(d, s.root);
        if (!good) {
            (void)printf("FAILED: the record is not all that was done to the disk\n");
        } else {
            t->records++;
            look_at_images(&s, d, images);
        }
        disk_free(d);
    }
    support_remove(s.root);
    support_remove(s.image);
    (void)unlink(s.record);
    free(s.root);
    free(s.record);
    free(s.image);
    return good;
}

/* ---- one that failed, again ---- */

static bool line_of(const char *text, const char *name, char *out, size_t size)
{
    const char *at = strstr(text, name);
    if (at == NULL) {
        return false;
    }
    at += strlen(name);
    (void)snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
    return true;
}

/* Makes a kept image again from its record and looks at it once more. */
static int look_again(const power *p, const char *folder)
{
    char mode[64];
    char root[4096];
    char seed[64];
    char lying[64];
    char text[4096];
    char described[256];
    char *why_path = in_folder(folder, "why");
    char *record = in_folder(folder, "record");
    char *image = in_folder(p->work, "image");
    char *why = support_read_file(why_path, NULL);
    if (!line_of(why, "\nmode ", mode, sizeof mode) ||
        !line_of(why, "\nroot ", root, sizeof root) ||
        !line_of(why, "\nseed ", seed, sizeof seed) ||
        !line_of(why, "\nlying ", lying, sizeof lying)) {
        power_fail("%s says too little", why_path);
    }
    if (strstr(why, "\nnested") != NULL) {
        power_fail("%s: a second loss: look at its image with `ratoon --store … verify`", folder);
    }
    disk *d = disk_load(record, root, NULL, 0);
    expect *e = expect_load(d, workload_mode(mode), true);
    const image_choice c = image_choose(d, strtoull(seed, NULL, 10), strcmp(lying, "0") != 0);
    image_describe(&c, described, sizeof described);
    fresh_folder(image);
    image_make(d, &c, image);
    const oracle_verdict verdict = oracle_look(e, &c, root, image, true, text, sizeof text);
    (void)printf("%s\n%s %s\n", described, verdict == ORACLE_FAILED ? "FAILED" : "passed", text);
    expect_free(e);
    disk_free(d);
    free(why);
    free(why_path);
    free(record);
    free(image);
    return verdict == ORACLE_FAILED ? 1 : 0;
}

/* ---- options ---- */

static int lose_power(const power *p, unsigned images)
{
    static const char *const modes[] = {"sync", "interval", "sync", "none"};
    totals t = {0};
    bool good = true;
    unsigned records = (images + IMAGES_PER_RECORD - 1) / IMAGES_PER_RECORD;
    records = records < 4 ? 4 : records;
    for (unsigned i = 0; good && i < records && !(p->first_failure && t.failed > 0); i++) {
        const unsigned share = images / records + (i < images % records ? 1 : 0);
        good = record_and_look(p, &t, modes[i % 4], i, share);
        (void)printf("%s: %u images so far, %u failed\n", modes[i % 4], t.images, t.failed);
        (void)fflush(stdout);
    }
    (void)printf("lying disks: %u images; %u whole nevertheless, %u reported as damaged, %u lost "
                 "more than the disk had left any trace of\n",
                 t.lying, t.lying_holds, t.reported, t.unseen);
    good = good && t.failed == 0 && t.images >= images;
    (void)printf("power loss: %s: seed %llu, %u recordings, %u images (%u of them of a second loss "
                 "during recovery), %u whole, %u failed\n",
                 good ? "passed" : "FAILED", (unsigned long long)p->seed, t.records, t.images,
                 t.nested, t.holds, t.failed);
    return good ? 0 : 1;
}

static int usage(void)
{
    (void)fprintf(
        stderr,
        "usage: run [--smoke | --images N | --loop N | --again FOLDER] [--seed N] [--scale N]\n");
    return 2;
}

int main(int argc, char **argv)
{
    unsigned images = 100;
    unsigned rounds = 0;
    const char *again = NULL;
    power p = {.seed = 1, .scale = 6};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--smoke") == 0) {
            images = 100;
        } else if (strcmp(argv[i], "--first-failure") == 0) {
            p.first_failure = true;
        } else if (value == NULL) {
            return usage();
        } else if (strcmp(argv[i], "--images") == 0) {
            images = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--loop") == 0) {
            rounds = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--again") == 0) {
            again = argv[++i];
        } else if (strcmp(argv[i], "--seed") == 0) {
            p.seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--scale") == 0) {
            p.scale = (unsigned)strtoul(argv[++i], NULL, 10);
        } else {
            return usage();
        }
    }
    char self[PATH_MAX] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) {
        power_fail("can't find myself");
    }
    p.programs = dirname(self);
    p.work = support_temp_dir("power");
    p.keep = in_folder(p.programs, "failed");
    const int code = again != NULL ? look_again(&p, again)
                     : rounds > 0  ? power_loop(&p, rounds)
                                   : lose_power(&p, images);
    support_temp_dir_free(p.work);
    free(p.keep);
    return code;
}
