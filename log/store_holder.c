/* An owner holds a flock on STORE/locks/owner, and RocksDB a POSIX lock on its own file LOCK. A
 * flock doesn't tell its holder, and to ask for that of the other one the file would have to be
 * opened, which drops the lock on closing it if this very process holds it; /proc/locks tells both
 * and touches nothing. */
#include "log/store_holder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LINE_SIZE 256
#define STAT_SIZE 1024
#define FLAG_EXITING 0x4UL /* PF_EXITING of the kernel, in the flags of /proc/PID/stat */

static void read_name(pid_t pid, char name[RATOON__PROCESS_NAME_SIZE])
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    ssize_t size = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        size = read(fd, name, RATOON__PROCESS_NAME_SIZE - 1);
        close(fd);
    }
    if (size < 0) {
        size = 0;
    }
    while (size > 0 && name[size - 1] == '\0') {
        size--;
    }
    for (ssize_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)name[i];
        name[i] = iscntrl(byte) ? ' ' : byte < 0x80 ? name[i] : '?'; /* a message is UTF-8 */
    }
    name[size] = '\0';
}

/* The writer of the lock on a file, from "1: FLOCK  ADVISORY  WRITE 1948 fe:00:10955112 0 EOF".
 * The device in that line is the file system's own, which stat() hides on some stacked ones: a line
 * that fits but for the device counts as long as it is the only one. */
pid_t ratoon__lock_holder(const struct stat *file)
{
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return 0;
    }
    char line[LINE_SIZE];
    pid_t exact = 0;
    pid_t similar = 0;
    unsigned similar_count = 0;
    while (fgets(line, sizeof line, locks) != NULL) {
        long pid;
        unsigned major_number;
        unsigned minor_number;
        uint64_t inode;
        if (sscanf(line, "%*s %*s %*s WRITE %ld %x:%x:%" SCNu64, &pid, &major_number, &minor_number,
                   &inode) != 4 ||
            inode != (uint64_t)file->st_ino || pid <= 0) {
            continue;
        }
        similar = (pid_t)pid;
        similar_count++;
        if (major_number == major(file->st_dev) && minor_number == minor(file->st_dev)) {
            exact = (pid_t)pid;
        }
    }
    (void)fclose(locks);
    return exact != 0 ? exact : similar_count == 1 ? similar : 0;
}

bool ratoon__process_is_ending(pid_t pid)
{
    char path[64];
    char text[STAT_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (size <= 0) {
        return errno == ENOENT || errno == ESRCH;
    }
    text[size] = '\0';
    const char *behind_name = strrchr(text, ')'); /* a name may contain anything */
    unsigned long flags;
    return behind_name != NULL &&
           sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 &&
           (flags & FLAG_EXITING) != 0;
}

bool ratoon__store_holder_find(const char *path, ratoon__store_holder *out)
{
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return false;
    }
    static const char *const files[] = {"locks/owner", "db/LOCK"};
    pid_t pid = 0;
    for (size_t i = 0; pid == 0 && i < sizeof files / sizeof files[0]; i++) {
        struct stat file;
        if (fstatat(folder, files[i], &file, AT_SYMLINK_NOFOLLOW) == 0) {
            pid = ratoon__lock_holder(&file);
        }
    }
    close(folder);
    if (pid == 0) {
        return false;
    }
    out->pid = pid;
    read_name(pid, out->name);
    return true;
}

ratoon_status ratoon__store_holder_fail(const char *path, uint32_t waited_ms, ratoon_error *error)
{
    ratoon__store_holder holder;
    if (!ratoon__store_holder_find(path, &holder)) {
        return ratoon__fail(error, RATOON_ERR_STORE_BUSY,
                            "another process holds the store %s and did not answer within %u ms",
                            path, waited_ms);
    }
    ratoon_status status = ratoon__fail(
        error, RATOON_ERR_STORE_BUSY,
        "process %d (%s) holds the store %s and did not answer within %u ms", (int)holder.pid,
        holder.name[0] != '\0' ? holder.name : "name unknown", path, waited_ms);
    ratoon__hint(error, "if process %d is stopped or hangs, let it go on or end it, then try again",
                 (int)holder.pid);
    return status;
}
