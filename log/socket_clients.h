/* The clients of a served store: what each has sent and is to be sent. One thread uses them. */
#ifndef RATOON_LOG_SOCKET_CLIENTS_H
#define RATOON_LOG_SOCKET_CLIENTS_H

#include "log/socket_serve.h"

#define RATOON__PARKED_MAX 64 /* readers of one client that wait for new commits */

typedef struct ratoon__parked {
    uint64_t id;
    uint64_t from;
    uint64_t deadline_ms;
} ratoon__parked;

typedef struct ratoon__client {
    int fd;
    bool greeted;
    bool gone;      /* to be dropped at the end of the turn */
    ratoon__buf in; /* frames, the last one maybe in part */
    size_t scanned; /* bytes of whole frames that are executed in this turn */
    ratoon__buf out;
    size_t sent; /* bytes of it */
    ratoon__parked parked[RATOON__PARKED_MAX];
    size_t parked_count;
} ratoon__client;

ratoon__client *ratoon__client_new(int fd);  /* NULL: out of memory */
void ratoon__client_free(ratoon__client *c); /* closes the connection */

short ratoon__client_poll_events(const ratoon__client *c);
void ratoon__client_receive(ratoon__client *c);
/* Finds out how many frames are executed in this turn. */
void ratoon__client_scan(ratoon__client *c);
/* Appends of all clients' scanned frames, as one group, and answers them. */
void ratoon__clients_append(ratoon__driver *d, ratoon__client *const *clients, size_t count);
/* The other scanned frames. */
void ratoon__client_execute(ratoon__client *c, ratoon__driver *d);
/* A whole frame has arrived and could be executed. */
bool ratoon__client_has_work(const ratoon__client *c);
/* Answers parked readers that have commits before `end`, or whose time is up. */
void ratoon__client_answer_tails(ratoon__client *c, ratoon__driver *d, uint64_t end, uint64_t now);
/* When the first of them must be answered, UINT64_MAX: never. */
uint64_t ratoon__client_deadline(const ratoon__client *c);
/* Sends what it takes; true where something is left. */
bool ratoon__client_send(ratoon__client *c);

#endif
