/* An owner holds a flock on STORE/locks/owner, and RocksDB a POSIX lock on its own file LOCK. A
 * flock doesn't tell its holder, and to ask for that of the other one the file would have to be
 * opened, which drops the lock on closing it if this very process holds it; /proc/locks tells both
 * and touches nothing. */
#include "log/store_holder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Cuts a line into its words; how many there are, at most words_max. */
static size_t split(char *line, char **words, size_t words_max)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < words_max;
         word = strtok_r(NULL, " \n", &rest)) {
        words[count++] = word;
    }
    return count;
}

/* "fe:00:10955112": device, in hexadecimal, and inode. Whether the inode is the file's; and whether
 * the device is, too. */
static bool is_lock_of(const char *place, const struct stat *file, bool *same_device)
{
    char *end;
    unsigned long major_number = strtoul(place, &end, 16);
    unsigned long minor_number = *end == ':' ? strtoul(end + 1, &end, 16) : 0;
    *same_device = major_number == major(file->st_dev) && minor_number == minor(file->st_dev);
    return *end == ':' && strtoull(end + 1, &end, 10) == file->st_ino && *end == '\0';
}

/* From lines such as "1: FLOCK  ADVISORY  WRITE 1948 fe:00:10955112 0 EOF". The device in them is
 * the file system's own, which stat() hides on some stacked ones: a line that fits but for the
 * device counts as long as it is the only one. */
pid_t ratoon__lock_holder(const struct stat *file)
{
    enum { WORD_MODE = 3, WORD_PID, WORD_PLACE, WORDS };
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return 0;
    }
    char line[LINE_SIZE];
    char *words[WORDS];
    pid_t exact = 0;
    pid_t similar = 0;
    unsigned similar_count = 0;
    while (fgets(line, sizeof line, locks) != NULL) {
        bool same_device;
        if (split(line, words, WORDS) < WORDS || strcmp(words[WORD_MODE], "WRITE") != 0 ||
            !is_lock_of(words[WORD_PLACE], file, &same_device)) {
            continue;
        }
        similar = (pid_t)strtol(words[WORD_PID], NULL, 10);
        similar_count++;
        exact = same_device ? similar : exact;
    }
    (void)fclose(locks);
    pid_t pid = exact != 0 ? exact : similar_count == 1 ? similar : 0;
    return pid > 0 ? pid : 0; /* -1: a process of another PID namespace */
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
    enum { WORD_FLAGS = 6, WORDS };
    char *words[WORDS];
    char *behind_name = strrchr(text, ')'); /* a name may contain anything */
    return behind_name != NULL && split(behind_name + 1, words, WORDS) == WORDS &&
           (strtoul(words[WORD_FLAGS], NULL, 10) & FLAG_EXITING) != 0;
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
