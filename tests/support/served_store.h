/* A store in memory that is served on a socket in a folder of its own. */
#ifndef RATOON_TESTS_SERVED_STORE_H
#define RATOON_TESTS_SERVED_STORE_H

#include "log/driver.h"
#include "tests/support/raw_commits.h"
#include "tests/support/role.h"
#include <pthread.h>
#include <stdatomic.h>

#define SERVED_WAIT_MS 20000 /* longer than anything may take */

typedef struct served {
    char *folder;
    ratoon__driver *inner;
    ratoon__server *server;
    atomic_uint disconnects;
} served;

served *served_new(void);
void served_start(served *s); /* after the server was stopped */
void served_free(served *s);
ratoon__driver *served_client(const served *s);
/* A connection that speaks the protocol for itself; greet: it has said hello. */
int served_raw_client(const served *s, bool greet);
/* Clients are let in and answered. */
void served_check(const served *s);

/* A thread that waits for the first commit. */
typedef struct served_reader {
    pthread_t thread;
    ratoon__driver *driver;
    uint32_t timeout_ms;
    atomic_bool started;
    ratoon_status status;
    uint64_t took_ms;
    raw_commits seen;
} served_reader;
void *served_read(void *reader);
void served_reader_start(served_reader *r); /* returns once it is about to ask */

#endif
