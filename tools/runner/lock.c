#include "tools/runner/lock.h"

#include "tools/runner/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *runner__lock_path(const char *store_path, ratoon_id run, uint32_t stage)
{
    char id[RATOON_ID_TEXT];
    ratoon_id_format(run, id);
    runner__text path = {0};
    runner__text_format(&path, "%s/locks/%s.%u", store_path, id, stage);
    return runner__text_take(&path);
}

static bool still_there(int fd, const char *path)
{
    struct stat mine;
    struct stat there;
    return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

int runner__lock_shared(const char *path)
{
    for (;;) {
        int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0) {
            return -1;
        }
        while (flock(fd, LOCK_SH) != 0) {
            if (errno != EINTR) {
                int error = errno;
                close(fd);
                errno = error;
                return -1;
            }
        }
        if (still_there(fd, path)) {
            return fd;
        }
        close(fd);
    }
}

bool runner__lock_free(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return true;
    }
    bool unlocked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (unlocked && still_there(fd, path)) {
        (void)unlink(path);
    }
    close(fd);
    return unlocked;
}
