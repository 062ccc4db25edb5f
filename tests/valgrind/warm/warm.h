/* The command in a process that is warm: a server that has opened a store once, and becomes the
 * command in a child for each client that asks. Under valgrind starting is nearly all that a
 * command takes, because every instruction is translated before it is first executed; children have
 * the translations. The client stands for the command: its folder, environment, standard files,
 * signals and exit code are those of the child. */
#ifndef RATOON_TESTS_VALGRIND_WARM_H
#define RATOON_TESTS_VALGRIND_WARM_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WARM_FILES = 4, /* standard input, output and error, and the folder */
    WARM_BYTES_MAX = 4 << 20,
    WARM_WORDS_MAX = 4096,
};

/* What a client sends, along with WARM_FILES open files; then that many bytes: the arguments, and
 * the environment, each ended by '\0'. It gets the child's pid, and later its wait status, int32_t
 * each. */
typedef struct warm_request {
    uint32_t arguments, environment, bytes, umask;
} warm_request;

/* Reads or writes all of it. False: the other side is gone. */
bool warm_read(int fd, void *data, uint32_t size);
bool warm_write(int fd, const void *data, uint32_t size);

#endif
