#include "tools/runner/files.h"

#include "tools/runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int runner__make_folder(const char *path)
{
    if (mkdir(path, 0700) == 0) {
        return 0;
    }
    if (errno == ENOENT) {
        int error = runner__make_parents(path);
        if (error != 0) {
            return error;
        }
        if (mkdir(path, 0700) == 0) {
            return 0;
        }
    }
    return errno == EEXIST ? 0 : errno;
}

int runner__make_parents(const char *path) /* NOLINT(misc-no-recursion): as deep as the path */
{
    char *folder = runner__strdup(path);
    char *slash = strrchr(folder, '/');
    int error = 0;
    if (slash != NULL && slash != folder) {
        *slash = '\0';
        error = runner__make_folder(folder);
    }
    free(folder);
    return error;
}

int runner__write_all(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size > 0) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n > 0) {
            p += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

int runner__write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    int error = runner__write_all(fd, data, size);
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    return error;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    (void)remove(path);
    return 0;
}

int runner__remove_tree(const char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        return errno == ENOENT ? 0 : errno;
    }
    return access(path, F_OK) == 0 ? ENOTEMPTY : 0;
}

int runner__file_digest(const char *path, uint64_t *size, ratoon_digest *digest)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno;
    }
    struct stat info;
    int error = fstat(fd, &info) != 0 ? errno : S_ISREG(info.st_mode) ? 0 : EINVAL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (error == 0 && (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)) {
        error = ENOMEM;
    }
    enum { CHUNK = 1 << 18 };
    char *buffer = runner__alloc(CHUNK);
    *size = 0;
    while (error == 0) {
        ssize_t n = read(fd, buffer, CHUNK);
        if (n == 0) {
            break;
        }
        if (n < 0) {
            error = errno == EINTR ? 0 : errno;
            continue;
        }
        (void)EVP_DigestUpdate(context, buffer, (size_t)n);
        *size += (uint64_t)n;
    }
    unsigned int length = sizeof(digest->bytes);
    if (error == 0) {
        (void)EVP_DigestFinal_ex(context, digest->bytes, &length);
    }
    EVP_MD_CTX_free(context);
    free(buffer);
    close(fd);
    return error;
}

char *runner__path_resolve(const char *folder, const char *name)
{
    runner__text path = {0};
    if (name[0] != '/' && folder[0] != '\0') {
        while (name[0] == '.' && name[1] == '/') {
            name += 2;
        }
        runner__text_format(&path, "%s/", folder);
    }
    runner__text_str(&path, name);
    return runner__text_take(&path);
}

void runner__hex(const uint8_t *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * size] = '\0';
}

void runner__hash_text(const void *data, size_t size, size_t bytes, char *out)
{
    uint8_t digest[32] = {0};
    unsigned int length = sizeof(digest);
    (void)EVP_Digest(data, size, digest, &length, EVP_sha256(), NULL);
    runner__hex(digest, bytes, out);
}
