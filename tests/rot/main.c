/* Flips bits of a store, and cuts its log, and sees whether somebody notices.
 *   store_rot --folder DIR [--seed N] [--share I/N] [--cases N] [--large N] [--tears N]
 *             [--only PART]
 * --cases: flips in small stores, sampled; 0: every byte of every file. --large: flips in a store
 * of 64 MiB. --tears: cuts of a log, sampled; 0: every byte of its last 64 KiB. --only: one
 * part, such as "tables-flipped". Prints "KIND PART: … refused N damaged N named N same N", and
 * what went unnoticed. */
#include "tests/rot/rot.h"
#include "tests/support/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FILES_MAX = 200,
    HANG_S = 120,
    TEAR_BYTES = 64 << 10,
    UNNOTICED_MAX = 20,
    BEGINNINGS_MAX = 4096,
    TABLE_END = 200,
};

typedef struct file {
    char name[200]; /* within the store */
    size_t size;
    mode_t mode;
    bool folder;
} file;

typedef struct base {
    rot_kind kind;
    char *path;
    file files[FILES_MAX];
    size_t count;
    uint64_t bytes; /* that are flipped */
    rot_look look;  /* at it undamaged */
    struct {
        bool known;
        ratoon_digest commits;
    } beginnings[BEGINNINGS_MAX]; /* of it, by the end of the feed */
} base;

typedef struct harness {
    const char *folder, *only;
    uint64_t seed, share, shares, cases, large, tears;
    support_prng prng;
    base b;
    rot_look *result; /* shared with the child that looks */
    unsigned long counts[ROT_CLEAN + 1], unnoticed;
    char *work; /* path of the copy */
} harness;

/* ---- files ---- */

static base *listing;

static int list_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    base *b = listing;
    (void)walk;
    const char *name = path + strlen(b->path);
    if (*name == '\0') {
        return 0;
    }
    if (b->count == FILES_MAX) {
        fprintf(stderr, "too many files in a store\n");
        abort();
    }
    file *f = &b->files[b->count++];
    snprintf(f->name, sizeof f->name, "%s", name + 1);
    f->size = (size_t)st->st_size;
    f->mode = st->st_mode & 07777;
    f->folder = type == FTW_D;
    /* Room that is kept free: its bytes mean nothing. */
    if (strcmp(f->name, "ballast") == 0) {
        f->size = 0;
    }
    b->bytes += f->folder ? 0 : f->size;
    return 0;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const file *)a)->name, ((const file *)b)->name);
}

static void copy_bytes(const char *from, const char *to, size_t size, mode_t mode)
{
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    loff_t at = 0;
    while (in >= 0 && out >= 0 && (size_t)at < size) {
        if (copy_file_range(in, &at, out, NULL, size - (size_t)at, 0) <= 0) {
            fprintf(stderr, "can't copy %s: %s\n", from, strerror(errno));
            abort();
        }
    }
    if (in < 0 || out < 0) {
        fprintf(stderr, "can't copy %s: %s\n", from, strerror(errno));
        abort();
    }
    close(in);
    close(out);
}

/* What the library and RocksDB never write to again, once it is there, is linked: that is quicker,
 * and the original is looked at at the end. */
static bool is_final(const file *f)
{
    return strncmp(f->name, "db/", 3) == 0 && strcmp(f->name, "db/LOCK") != 0;
}

static void copy_store(harness *h, const file *damaged)
{
    support_remove(h->work);
    if (mkdir(h->work, 0700) != 0) {
        abort();
    }
    for (size_t i = 0; i < h->b.count; i++) {
        const file *f = &h->b.files[i];
        char *from = support_path_join(h->b.path, f->name);
        char *to = support_path_join(h->work, f->name);
        if (f->folder) {
            (void)mkdir(to, f->mode);
        } else if (f == damaged || !is_final(f) || link(from, to) != 0) {
            copy_bytes(from, to, f->size, f->mode);
        }
        free(from);
        free(to);
    }
}

/* ---- one case ---- */

typedef struct damage {
    const file *f;
    size_t at;
    uint8_t flip;  /* 0: cut there */
    bool zeroes;   /* a cut that is filled up with zeros */
    bool may_lose; /* commits at the end that nobody acknowledged as durable */
} damage;

static void inflict(const harness *h, const damage *d)
{
    char *path = support_path_join(h->work, d->f->name);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;
    bool good = fd >= 0;
    if (d->flip != 0) {
        good = good && pread(fd, &byte, 1, (off_t)d->at) == 1;
        byte ^= d->flip;
        good = good && pwrite(fd, &byte, 1, (off_t)d->at) == 1;
    } else {
        good = good && ftruncate(fd, (off_t)d->at) == 0 &&
               (!d->zeroes || ftruncate(fd, (off_t)d->f->size) == 0);
    }
    if (!good) {
        fprintf(stderr, "can't damage %s: %s\n", path, strerror(errno));
        abort();
    }
    close(fd);
    free(path);
}

static void look_in_child(harness *h, const char *path, uint64_t limit, char *death, size_t size)
{
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO); /* assertions of RocksDB and the like */
        support_limit_life(HANG_S);
        rot_look_at(path, limit, h->result);
        _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        abort();
    }
    death[0] = '\0';
    if (WIFSIGNALED(status)) {
        snprintf(death, size, "the process died of %s",
                 WTERMSIG(status) == SIGALRM ? "waiting" : strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        snprintf(death, size, "the process ended with %d", WEXITSTATUS(status));
    }
}

static void unnoticed(harness *h, const damage *d, const char *why)
{
    if (h->unnoticed++ < UNNOTICED_MAX) {
        printf("unnoticed: %s %s at %zu of %zu, %s 0x%02x: %s\n", rot_kind_name(h->b.kind),
               d->f->name, d->at, d->f->size,
               d->flip != 0 ? "flipped by"
               : d->zeroes  ? "zeros from there, "
                            : "cut,",
               d->flip, why);
        fflush(stdout);
    }
}

/* Of a store whose end nobody has acknowledged as durable, a beginning may be left. */
static bool is_beginning(harness *h)
{
    char death[200];
    const ratoon_digest found = h->result->commits;
    const uint64_t end = h->result->end;
    if (end >= BEGINNINGS_MAX) {
        return false;
    }
    if (!h->b.beginnings[end].known) {
        copy_store(h, NULL);
        look_in_child(h, h->work, end, death, sizeof death);
        h->b.beginnings[end].known = death[0] == '\0';
        h->b.beginnings[end].commits = h->result->commits;
    }
    return h->b.beginnings[end].known &&
           memcmp(&found, &h->b.beginnings[end].commits, sizeof found) == 0;
}

static void one_case(harness *h, const damage *d)
{
    char death[200];
    copy_store(h, d->f);
    inflict(h, d);
    *h->result = (rot_look){.sight = 0};
    look_in_child(h, h->work, 0, death, sizeof death);
    if (death[0] != '\0') {
        unnoticed(h, d, death);
        return;
    }
    const rot_look *r = h->result;
    h->counts[r->sight]++;
    if (r->sight != ROT_CLEAN || memcmp(&r->whole, &h->b.look.whole, sizeof r->whole) == 0) {
        return;
    }
    if (!d->may_lose) {
        unnoticed(h, d, "nothing is said, and what is read is not the same");
    } else if (!is_beginning(h)) {
        unnoticed(h, d, "what is left is not how it began");
    }
}

/* ---- campaigns ---- */

static bool mine(const harness *h, uint64_t i)
{
    return i % h->shares == h->share;
}

static void make_base(harness *h, rot_kind kind)
{
    base *b = &h->b;
    char death[200];
    *b = (base){.kind = kind, .path = support_path_join(h->folder, rot_kind_name(kind))};
    rot_make(b->path, kind, h->seed + kind);
    listing = b;
    (void)nftw(b->path, list_one, 16, FTW_PHYS);
    qsort(b->files, b->count, sizeof b->files[0], compare_files);
    copy_store(h, NULL);
    look_in_child(h, h->work, 0, death, sizeof death);
    b->look = *h->result;
    if (death[0] != '\0' || b->look.sight != ROT_CLEAN) {
        fprintf(stderr, "the undamaged store %s: %s%s\n", rot_kind_name(kind), death, b->look.text);
        exit(1);
    }
    /* Twice the same, or nothing could be told from it. */
    copy_store(h, NULL);
    look_in_child(h, h->work, 0, death, sizeof death);
    if (memcmp(&b->look.whole, &h->result->whole, sizeof b->look.whole) != 0) {
        fprintf(stderr, "the undamaged store %s looks different each time\n", rot_kind_name(kind));
        exit(1);
    }
    memset(h->counts, 0, sizeof h->counts);
}

static void end_base(harness *h, const char *what)
{
    char death[200];
    const unsigned long *n = h->counts;
    printf("%s %s: files %zu bytes %" PRIu64 " refused %lu damaged %lu named %lu same %lu\n",
           rot_kind_name(h->b.kind), what, h->b.count, h->b.bytes, n[ROT_REFUSED], n[ROT_DAMAGED],
           n[ROT_NAMED], n[ROT_CLEAN]);
    copy_store(h, NULL); /* the links were links to it */
    look_in_child(h, h->work, 0, death, sizeof death);
    if (death[0] != '\0' || memcmp(&h->b.look.whole, &h->result->whole, 32) != 0) {
        printf("unnoticed: the original %s has changed\n", rot_kind_name(h->b.kind));
        h->unnoticed++;
    }
    fflush(stdout);
    support_remove(h->b.path);
    support_remove(h->work);
    free(h->b.path);
}

static uint8_t random_flip(harness *h)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff, 0x10};
    const uint64_t dice = support_prng_below(&h->prng, 8);
    return (uint8_t)(dice < 4 ? flips[dice] : 1u << support_prng_below(&h->prng, 8));
}

static void flip_byte(harness *h, uint64_t offset)
{
    for (size_t i = 0; i < h->b.count; i++) {
        const file *f = &h->b.files[i];
        if (f->folder || f->size == 0) {
            continue;
        }
        if (offset < f->size) {
            one_case(h, &(damage){.f = f, .at = (size_t)offset, .flip = random_flip(h)});
            return;
        }
        offset -= f->size;
    }
}

/* Files are small and large: half of the samples choose the file first. */
static void flip_sample(harness *h)
{
    const file *f;
    if (support_prng_below(&h->prng, 2) == 0) {
        flip_byte(h, support_prng_below(&h->prng, h->b.bytes));
        return;
    }
    do {
        f = &h->b.files[support_prng_below(&h->prng, h->b.count)];
    } while (f->folder || f->size == 0);
    one_case(h, &(damage){.f = f,
                          .at = (size_t)support_prng_below(&h->prng, f->size),
                          .flip = random_flip(h)});
}

static bool wanted(const harness *h, rot_kind kind, const char *what)
{
    char name[60];
    snprintf(name, sizeof name, "%s-%s", rot_kind_name(kind), what);
    return h->only == NULL || strcmp(h->only, name) == 0;
}

static void flips(harness *h, rot_kind kind, uint64_t cases)
{
    if (!wanted(h, kind, "flipped")) {
        return;
    }
    make_base(h, kind);
    for (uint64_t i = 0; cases == 0 && i < h->b.bytes; i++) {
        if (mine(h, i)) {
            flip_byte(h, i);
        }
    }
    for (uint64_t i = 0; i < cases; i++) {
        if (mine(h, i)) {
            flip_sample(h);
        }
    }
    end_base(h, "flipped");
}

/* Where RocksDB's checksums come last: the highest bit of each byte at the end of each table. */
static void flip_ends(harness *h)
{
    if (!wanted(h, ROT_TABLES, "ends")) {
        return;
    }
    make_base(h, ROT_TABLES);
    uint64_t which = 0;
    for (size_t i = 0; i < h->b.count; i++) {
        const file *f = &h->b.files[i];
        const char *dot = strrchr(f->name, '.');
        for (size_t back = 1; dot != NULL && strcmp(dot, ".sst") == 0 && back <= TABLE_END;
             back++) {
            if (back <= f->size && mine(h, which++)) {
                one_case(h, &(damage){.f = f, .at = f->size - back, .flip = 0x80});
            }
        }
    }
    end_base(h, "ends");
}

/* The log file that was written last. */
static const file *last_log(const base *b)
{
    const file *found = NULL;
    for (size_t i = 0; i < b->count; i++) {
        const char *dot = strrchr(b->files[i].name, '.');
        if (dot != NULL && strcmp(dot, ".log") == 0 && b->files[i].size > 0) {
            found = &b->files[i];
        }
    }
    if (found == NULL) {
        fprintf(stderr, "no log file\n");
        exit(1);
    }
    return found;
}

static void tears(harness *h, rot_kind kind, uint64_t cases)
{
    if (!wanted(h, kind, "torn")) {
        return;
    }
    make_base(h, kind);
    const file *f = last_log(&h->b);
    const size_t from = f->size > TEAR_BYTES ? f->size - TEAR_BYTES : 0;
    const uint64_t all = 2 * (f->size - from);
    for (uint64_t i = 0; i < (cases == 0 ? all : cases); i++) {
        if (mine(h, i)) {
            const uint64_t which = cases == 0 ? i : support_prng_below(&h->prng, all);
            one_case(h, &(damage){.f = f,
                                  .at = from + (size_t)(which / 2),
                                  .zeroes = which % 2 == 0,
                                  .may_lose = kind == ROT_UNSYNCED});
        }
    }
    end_base(h, "torn");
}

int main(int argc, char **argv)
{
    harness h = {.seed = 1, .shares = 1, .cases = 200, .large = 4, .tears = 100};
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint64_t value = strtoull(argv[i + 1], NULL, 0);
        const char *slash = strchr(argv[i + 1], '/');
        if (strcmp(argv[i], "--folder") == 0) {
            h.folder = argv[i + 1];
        } else if (strcmp(argv[i], "--only") == 0) {
            h.only = argv[i + 1];
        } else if (strcmp(argv[i], "--seed") == 0) {
            h.seed = value;
        } else if (strcmp(argv[i], "--share") == 0 && slash != NULL) {
            h.share = value;
            h.shares = strtoull(slash + 1, NULL, 0);
        } else if (strcmp(argv[i], "--cases") == 0) {
            h.cases = value;
        } else if (strcmp(argv[i], "--large") == 0) {
            h.large = value;
        } else if (strcmp(argv[i], "--tears") == 0) {
            h.tears = value;
        } else {
            fprintf(stderr, "unknown: %s\n", argv[i]);
            return 2;
        }
    }
    if (h.folder == NULL || h.shares == 0) {
        fprintf(stderr, "--folder is missing\n");
        return 2;
    }
    h.work = support_path_join(h.folder, "copy");
    h.prng = support_prng_new(h.seed * 1000003 + h.share);
    h.result =
        mmap(NULL, sizeof *h.result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (h.result == MAP_FAILED) {
        return 2;
    }
    flips(&h, ROT_LOG, h.cases);
    flips(&h, ROT_TABLES, h.cases);
    flip_ends(&h);
    flips(&h, ROT_KILLED, h.cases);
    tears(&h, ROT_KILLED, h.tears);
    tears(&h, ROT_UNSYNCED, h.tears);
    if (h.large > 0) {
        flips(&h, ROT_LARGE, h.large);
    }
    printf("done %lu\n", h.unnoticed);
    free(h.work);
    return h.unnoticed == 0 ? 0 : 1;
}
