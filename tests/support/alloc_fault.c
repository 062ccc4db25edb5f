#include "tests/support/alloc_fault.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which one fails ---- */

static _Thread_local bool armed, persists;
static _Thread_local uint64_t at, count, failures;
static atomic_bool others_armed;
static bool others_persist;
static uint64_t others_at;
static pthread_t not_of;
static atomic_uint_fast64_t others_count, others_failures;

void alloc_fault_arm(uint64_t n, bool persistent)
{
    at = n;
    count = 0;
    failures = 0;
    persists = persistent;
    armed = true;
}

void alloc_fault_arm_others(uint64_t n, bool persistent)
{
    others_at = n;
    others_persist = persistent;
    others_count = others_failures = 0;
    not_of = pthread_self();
    others_armed = true;
}

uint64_t alloc_fault_disarm(uint64_t *failed)
{
    const bool others = atomic_exchange(&others_armed, false);
    armed = false;
    *failed = others ? others_failures : failures;
    return others ? others_count : count;
}

static bool fails_for_others(void)
{
    if (!others_armed || pthread_equal(pthread_self(), not_of)) {
        return false;
    }
    const uint64_t n = atomic_fetch_add(&others_count, 1) + 1;
    const bool now = n == others_at || (others_persist && n > others_at);
    if (now) {
        others_failures++;
        errno = ENOMEM;
    }
    return now;
}

static bool fails(void)
{
    if (!armed) {
        return fails_for_others();
    }
    count++;
    const bool now = at != 0 && (count == at || (persists && count > at));
    failures += now ? 1 : 0;
    if (now && getenv("RATOON_ALLOC_TRACE") != NULL) { /* to see which one it was */
        void *frames[16];
        armed = false;
        dprintf(2, "allocation %u fails:\n", (unsigned)count);
        backtrace_symbols_fd(frames, backtrace(frames, 16), 2);
        armed = true;
    }
    if (now) {
        errno = ENOMEM;
    }
    return now;
}

/* ---- which are held: lists by address ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);

enum { BUCKETS = 1 << 14 };

typedef struct block {
    struct block *next;
    const void *address;
    const void *from;
    uint64_t serial;
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static block *blocks[BUCKETS];
static uint64_t serial;

static block **bucket_of(const void *address)
{
    return &blocks[((uintptr_t)address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 50];
}

static void *note(void *address, const void *from)
{
    if (address != NULL) {
        block *b = __real_malloc(sizeof *b);
        if (b == NULL) {
            abort();
        }
        pthread_mutex_lock(&lock);
        block **bucket = bucket_of(address);
        *b = (block){*bucket, address, from, ++serial};
        *bucket = b;
        pthread_mutex_unlock(&lock);
    }
    return address;
}

static void forget(const void *address)
{
    pthread_mutex_lock(&lock);
    for (block **b = bucket_of(address); *b != NULL; b = &(*b)->next) {
        if ((*b)->address == address) {
            block *gone = *b;
            *b = gone->next;
            __real_free(gone);
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

uint64_t alloc_fault_mark(void)
{
    pthread_mutex_lock(&lock);
    const uint64_t mark = serial;
    pthread_mutex_unlock(&lock);
    return mark;
}

static size_t since(uint64_t mark, bool print)
{
    size_t held = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const block *b = blocks[i]; b != NULL; b = b->next) {
            held += b->serial > mark ? 1 : 0;
            if (b->serial > mark && print) {
                fprintf(stderr, "held: block %p made at %p\n", b->address, b->from);
            }
        }
    }
    pthread_mutex_unlock(&lock);
    return held;
}

size_t alloc_fault_held_since(uint64_t mark)
{
    return since(mark, false);
}

void alloc_fault_print_since(uint64_t mark)
{
    (void)since(mark, true);
}

/* ---- what our objects call ---- */

#define CALLER __builtin_return_address(0)

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : note(__real_malloc(size), CALLER);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : note(__real_calloc(n, size), CALLER);
}

void *__wrap_realloc(void *p, size_t size)
{
    if (fails()) {
        return NULL;
    }
    if (p != NULL) {
        forget(p);
    }
    return note(__real_realloc(p, size), CALLER); /* test sizes: it does not fail by itself */
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return __wrap_realloc(p, n * size);
}

void __wrap_free(void *p)
{
    if (p != NULL) {
        forget(p);
    }
    __real_free(p);
}

char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : note(__real_strdup(s), CALLER);
}

char *__real_strndup(const char *s, size_t size);
char *__wrap_strndup(const char *s, size_t size)
{
    return fails() ? NULL : note(__real_strndup(s, size), CALLER);
}

char *__real_realpath(const char *path, char *out);
char *__wrap_realpath(const char *path, char *out)
{
    return fails()       ? NULL
           : out != NULL ? __real_realpath(path, out)
                         : note(__real_realpath(path, out), CALLER);
}

static int print(char **out, const char *format, va_list args, const void *from)
{
    if (fails()) {
        return -1;
    }
    const int size = vasprintf(out, format, args);
    if (size >= 0) {
        (void)note(*out, from);
    }
    return size;
}

int __wrap_asprintf(char **out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int size = print(out, format, args, CALLER);
    va_end(args);
    return size;
}

int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
{
    (void)flag;
    va_list args;
    va_start(args, format);
    const int size = print(out, format, args, CALLER);
    va_end(args);
    return size;
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
    return fails() ? NULL : __real_fopen(path, mode);
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
    return fails() ? NULL : __real_opendir(path);
}

DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
    return fails() ? NULL : __real_fdopendir(fd);
}

/* ---- operator new and delete ---- */

void *__real__Znwm(size_t size);
void *__real__Znam(size_t size);
void *__real__ZnwmRKSt9nothrow_t(size_t size, const void *nothrow);
void __real__ZdlPv(void *p);
void __real__ZdlPvm(void *p, size_t size);
void __real__ZdaPv(void *p);
_Noreturn void _ZSt17__throw_bad_allocv(void);

void *__wrap__Znwm(size_t size)
{
    if (fails()) {
        _ZSt17__throw_bad_allocv();
    }
    return note(__real__Znwm(size), CALLER);
}

void *__wrap__Znam(size_t size)
{
    if (fails()) {
        _ZSt17__throw_bad_allocv();
    }
    return note(__real__Znam(size), CALLER);
}

void *__wrap__ZnwmRKSt9nothrow_t(size_t size, const void *nothrow)
{
    return fails() ? NULL : note(__real__ZnwmRKSt9nothrow_t(size, nothrow), CALLER);
}

void __wrap__ZdlPv(void *p)
{
    forget(p);
    __real__ZdlPv(p);
}

void __wrap__ZdlPvm(void *p, size_t size)
{
    forget(p);
    __real__ZdlPvm(p, size);
}

void __wrap__ZdaPv(void *p)
{
    forget(p);
    __real__ZdaPv(p);
}
