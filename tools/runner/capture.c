#include "tools/runner/capture.h"

#include "tools/runner/files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK_MAX 96 /* the line that tells what was left out */

struct runner__capture {
    char *path;
    int file, ring; /* -1: not open */
    int error;
    uint64_t head_max, ring_max;
    uint64_t seen;      /* bytes given */
    uint64_t head;      /* of them in the file */
    uint64_t ring_seen; /* of them that went through the ring */
    EVP_MD_CTX *digest; /* of the file as far as it is written */
    uint64_t written;
};

static void failed(runner__capture *c, int error)
{
    if (c->error == 0) {
        c->error = error;
    }
}

static void open_file(runner__capture *c)
{
    if (c->file >= 0 || c->error != 0) {
        return;
    }
    int error = runner__make_parents(c->path);
    if (error == 0) {
        c->file = open(c->path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
        error = c->file < 0 ? errno : 0;
    }
    if (error != 0) {
        failed(c, error);
    }
}

runner__capture *runner__capture_new(const char *path, uint64_t limit, bool lazy)
{
    runner__capture *c = runner__alloc(sizeof(*c));
    c->path = runner__strdup(path);
    c->file = -1;
    c->ring = -1;
    c->head_max = limit / 2;
    c->ring_max = limit > c->head_max + 2 * MARK_MAX ? limit - c->head_max - MARK_MAX : MARK_MAX;
    c->digest = EVP_MD_CTX_new();
    if (c->digest == NULL || EVP_DigestInit_ex(c->digest, EVP_sha256(), NULL) != 1) {
        fputs("ratoon: SHA-256 is not available\n", stderr);
        abort();
    }
    if (!lazy) {
        open_file(c);
    }
    return c;
}

static void write_file(runner__capture *c, const char *data, size_t size)
{
    while (size > 0 && c->error == 0) {
        ssize_t n = write(c->file, data, size);
        if (n < 0) {
            if (errno != EINTR) {
                failed(c, errno);
            }
            continue;
        }
        (void)EVP_DigestUpdate(c->digest, data, (size_t)n);
        c->written += (uint64_t)n;
        data += n;
        size -= (size_t)n;
    }
}

static void write_ring(runner__capture *c, const char *data, size_t size)
{
    if (c->ring < 0) {
        char *folder = runner__strdup(c->path);
        char *slash = strrchr(folder, '/');
        *slash = '\0';
        c->ring = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        free(folder);
        if (c->ring < 0) {
            failed(c, errno);
            return;
        }
    }
    while (size > 0 && c->error == 0) {
        uint64_t at = c->ring_seen % c->ring_max;
        size_t part = size < c->ring_max - at ? size : (size_t)(c->ring_max - at);
        ssize_t n = pwrite(c->ring, data, part, (off_t)at);
        if (n < 0) {
            if (errno != EINTR) {
                failed(c, errno);
            }
            continue;
        }
        c->ring_seen += (uint64_t)n;
        data += n;
        size -= (size_t)n;
    }
}

void runner__capture_add(runner__capture *c, const char *data, size_t size)
{
    if (size == 0) {
        return;
    }
    open_file(c);
    c->seen += size;
    size_t part = c->head_max - c->head < size ? (size_t)(c->head_max - c->head) : size;
    if (part > 0 && c->error == 0) {
        write_file(c, data, part);
        c->head += part;
    }
    if (part < size && c->error == 0) {
        write_ring(c, data + part, size - part);
    }
}

/* Appends `size` bytes of the ring, from offset `at` on, to the file. */
static void append_ring(runner__capture *c, uint64_t at, uint64_t size)
{
    enum { CHUNK = 1 << 18 };
    char *buffer = runner__alloc(CHUNK);
    while (size > 0 && c->error == 0) {
        ssize_t n = pread(c->ring, buffer, size < CHUNK ? (size_t)size : CHUNK, (off_t)at);
        if (n <= 0) {
            failed(c, n < 0 ? errno : EIO);
            break;
        }
        write_file(c, buffer, (size_t)n);
        at += (uint64_t)n;
        size -= (uint64_t)n;
    }
    free(buffer);
}

static void append_tail(runner__capture *c)
{
    if (c->ring_seen <= c->ring_max) {
        append_ring(c, 0, c->ring_seen);
        return;
    }
    char mark[MARK_MAX];
    int size = snprintf(mark, sizeof(mark), "\n[ratoon: %llu bytes left out here]\n",
                        (unsigned long long)(c->ring_seen - c->ring_max));
    write_file(c, mark, (size_t)size);
    uint64_t at = c->ring_seen % c->ring_max;
    append_ring(c, at, c->ring_max - at);
    append_ring(c, 0, at);
}

runner__capture_result runner__capture_end(runner__capture *c, bool sync)
{
    runner__capture_result result = {0};
    if (c->ring >= 0 && c->error == 0) {
        append_tail(c);
    }
    if (c->file >= 0 && sync && c->written > 0 && fdatasync(c->file) != 0) {
        failed(c, errno);
    }
    result.size = c->written;
    result.error = c->error;
    if (c->error == 0) {
        result.dropped = c->ring_seen > c->ring_max ? c->ring_seen - c->ring_max : 0;
    } else {
        result.dropped = c->seen > c->written ? c->seen - c->written : 0;
    }
    unsigned int size = sizeof(result.digest.bytes);
    (void)EVP_DigestFinal_ex(c->digest, result.digest.bytes, &size);
    EVP_MD_CTX_free(c->digest);
    if (c->file >= 0) {
        close(c->file);
    }
    if (c->ring >= 0) {
        close(c->ring);
    }
    free(c->path);
    free(c);
    return result;
}
