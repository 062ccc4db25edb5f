/* The socket of a served store, and peers that don't behave. */
#include "log/monotonic.h"
#include "log/socket_frame.h"
#include "tests/support/served_store.h"
#include "tests/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const ratoon__driver_options options;

/* The server has closed the connection, having sent nothing more. */
static bool is_closed(int fd)
{
    struct timeval limit = {.tv_sec = SERVED_WAIT_MS / 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

/* ---- the socket itself ---- */

START_TEST(test_socket_is_private_and_removed_at_stop)
{
    served *s = served_new();
    char *path = support_path_join(s->folder, "socket");
    struct stat status;
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert(S_ISSOCK(status.st_mode));
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ratoon__server_stop(s->server);
    ck_assert_int_eq(lstat(path, &status), -1);
    ratoon__driver *d = NULL;
    ck_assert_int_eq(ratoon__socket_open(s->folder, &options, &d, NULL), RATOON_ERR_NOT_FOUND);
    served_start(s);
    free(path);
    served_free(s);
}
END_TEST

START_TEST(test_socket_stale_one_is_replaced)
{
    served *s = served_new();
    char *path = support_path_join(s->folder, "socket");
    ratoon__server_stop(s->server);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd); /* the file stays, nobody listens */
    ratoon__driver *d = NULL;
    ck_assert_int_eq(ratoon__socket_open(s->folder, &options, &d, NULL), RATOON_ERR_NOT_FOUND);
    served_start(s);
    served_check(s);
    free(path);
    served_free(s);
}
END_TEST

START_TEST(test_socket_works_below_a_long_path)
{
    served *s = served_new();
    ratoon__server_stop(s->server);
    char *top = s->folder;
    s->folder = strdup(top);
    for (int i = 0; i < 8; i++) {
        char *deeper = support_path_join(s->folder, "a-folder-with-a-rather-long-name");
        ck_assert_int_eq(mkdir(deeper, 0700), 0);
        free(s->folder);
        s->folder = deeper;
    }
    served_start(s);
    served_check(s);
    served_free(s);
    support_temp_dir_free(top);
}
END_TEST

/* ---- peers that don't behave ---- */

START_TEST(test_garbage_from_a_client_ends_only_its_connection)
{
    served *s = served_new();
    ratoon__driver *good = served_client(s);
    support_prng prng = support_prng_new(support_seed());
    for (int i = 0; i < 200; i++) {
        uint8_t bytes[256];
        support_prng_fill(&prng, bytes, sizeof bytes);
        bool greet = i % 2 == 1;
        if (greet) { /* a good head of a request with bad fields */
            const uint32_t size = 128;
            const uint16_t head[2] = {(uint16_t)(1 + support_prng_below(&prng, 13)), 0};
            memcpy(bytes, &size, sizeof size);
            memcpy(bytes + 4, head, sizeof head);
        }
        int fd = served_raw_client(s, greet);
        (void)!send(fd, bytes, greet ? 128 : sizeof bytes, MSG_NOSIGNAL);
        if (!greet) {
            ck_assert(is_closed(fd));
        }
        close(fd);
        (void)raw_append_next(good, raw_id(1), 1, (uint64_t)i);
    }
    good->ops->close(good);
    served_free(s);
}
END_TEST

START_TEST(test_other_version_is_refused)
{
    served *s = served_new();
    int fd = served_raw_client(s, false);
    ratoon__buf frame = {0};
    ratoon__frame_writer w = ratoon__frame_begin(&frame, RATOON__FRAME_HELLO, RATOON_OK, 1);
    ratoon__frame_put_u64(&w, RATOON__FRAME_MAGIC);
    ratoon__frame_put_u64(&w, RATOON__FRAME_VERSION + 1);
    ck_assert_int_eq(ratoon__frame_finish(&w, NULL), RATOON_OK);
    ck_assert_int_eq(send(fd, frame.data, frame.size, MSG_NOSIGNAL), (ssize_t)frame.size);
    char answer[RATOON__FRAME_HEAD_SIZE];
    ck_assert_int_eq(recv(fd, answer, sizeof answer, MSG_WAITALL), sizeof answer);
    ratoon__frame_head head;
    ck_assert(ratoon__frame_head_get(answer, &head));
    ck_assert_int_eq(head.status, RATOON_ERR_UNSUPPORTED);
    ratoon__buf_free(&frame);
    close(fd);
    served_free(s);
}
END_TEST

/* A client asks and asks and reads nothing: the others go on, and what is kept for it is bounded.
 */
START_TEST(test_client_that_does_not_read_holds_up_nobody)
{
    enum { SIZE = 1 << 20, REQUESTS = 64 };
    served *s = served_new();
    char *data = calloc(1, SIZE);
    MUST(data != NULL);
    const raw_commit commit = {raw_id(1), 1, 1, 1};
    memcpy(data, &commit, sizeof commit);
    ratoon__append append = raw_append(&commit);
    append.data = data;
    append.size = SIZE;
    ck_assert_int_eq(s->inner->ops->append(s->inner, &append, 1, true, NULL), RATOON_OK);
    int fd = served_raw_client(s, true);
    ratoon__buf frames = {0};
    for (uint64_t i = 0; i < REQUESTS; i++) {
        ratoon__frame_writer w = ratoon__frame_begin(&frames, RATOON__FRAME_READ, RATOON_OK, i);
        ratoon__frame_put_id(&w, raw_id(1));
        ratoon__frame_put_u64(&w, 1);
        ratoon__frame_put_u64(&w, 1);
        ratoon__frame_put_u64(&w, 0);
        ck_assert_int_eq(ratoon__frame_finish(&w, NULL), RATOON_OK);
    }
    ck_assert_int_eq(send(fd, frames.data, frames.size, MSG_NOSIGNAL), (ssize_t)frames.size);
    ratoon__driver *good = served_client(s);
    for (uint64_t i = 0; i < 100; i++) {
        (void)raw_append_next(good, raw_id(2), 1, i);
    }
    size_t answer = RATOON__FRAME_HEAD_SIZE + 16 + 8 + 8 + 16 + 8 + SIZE;
    for (uint64_t i = 0; i < REQUESTS; i++) { /* it reads after all, and gets every answer */
        for (size_t got = 0; got < answer;) {
            size_t want = answer - got < SIZE ? answer - got : SIZE;
            ssize_t n = recv(fd, data, want, 0);
            ck_assert_int_gt(n, 0);
            got += (size_t)n;
        }
    }
    good->ops->close(good);
    close(fd);
    free(data);
    ratoon__buf_free(&frames);
    served_free(s);
}
END_TEST

/* An owner that answers nonsense: the connection counts as lost, nothing worse. */
static void *answer_nonsense(void *argument)
{
    int listener = *(int *)argument;
    support_prng prng = support_prng_new(support_seed());
    for (int i = 0; i < 100; i++) {
        int fd = accept(listener, NULL, NULL);
        uint8_t bytes[512];
        (void)!recv(fd, bytes, 64, 0);
        support_prng_fill(&prng, bytes, sizeof bytes);
        const uint32_t size = 24;
        const uint16_t head[2] = {RATOON__FRAME_HELLO, 0};
        const uint64_t id = 1;
        const uint64_t version = RATOON__FRAME_VERSION;
        if (i % 2 == 0) { /* a good greeting first */
            memcpy(bytes, &size, sizeof size);
            memcpy(bytes + 4, head, sizeof head);
            memcpy(bytes + 8, &id, sizeof id);
            memcpy(bytes + 16, &version, sizeof version);
        }
        (void)!send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

START_TEST(test_garbage_from_the_owner_is_a_lost_connection)
{
    char *folder = support_temp_dir("socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    pthread_t thread;
    pthread_create(&thread, NULL, answer_nonsense, &listener);
    for (int i = 0; i < 100; i++) {
        ratoon__driver *d = NULL;
        ratoon_error error = {0};
        if (ratoon__socket_open(folder, &options, &d, &error) == RATOON_OK) {
            uint64_t end;
            ck_assert_int_eq(d->ops->end(d, &end, &error), RATOON_ERR_STORE_BUSY);
            ck_assert_int_eq(error.backend_code, ECONNRESET);
            ck_assert(ratoon__socket_is_lost(d));
            d->ops->close(d);
        }
    }
    pthread_join(thread, NULL);
    close(listener);
    support_temp_dir_free(folder);
}
END_TEST

/* ---- stopping ---- */

START_TEST(test_stop_ends_waiting_readers_and_tells_of_clients)
{
    served *s = served_new();
    ratoon__driver *client = served_client(s);
    ratoon__driver *brief = served_client(s);
    brief->ops->close(brief);
    uint64_t until = ratoon__monotonic_ms() + SERVED_WAIT_MS;
    while (atomic_load(&s->disconnects) == 0 && ratoon__monotonic_ms() < until) {
        ratoon__sleep_ms(1);
    }
    ck_assert_uint_eq(s->disconnects, 1);
    served_reader r = {.driver = client, .timeout_ms = SERVED_WAIT_MS};
    served_reader_start(&r);
    ratoon__server_stop(s->server);
    pthread_join(r.thread, NULL);
    ck_assert_int_eq(r.status, RATOON_ERR_STORE_BUSY);
    ck_assert(ratoon__socket_is_lost(client));
    client->ops->close(client);
    served_start(s);
    served_check(s);
    served_free(s);
}
END_TEST

static Suite *socket_peers_suite(void)
{
    Suite *suite = suite_create("socket_peers");
    TCase *tcase = tcase_create("address");
    tcase_add_test(tcase, test_socket_is_private_and_removed_at_stop);
    tcase_add_test(tcase, test_socket_stale_one_is_replaced);
    tcase_add_test(tcase, test_socket_works_below_a_long_path);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("peers");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_garbage_from_a_client_ends_only_its_connection);
    tcase_add_test(tcase, test_other_version_is_refused);
    tcase_add_test(tcase, test_client_that_does_not_read_holds_up_nobody);
    tcase_add_test(tcase, test_garbage_from_the_owner_is_a_lost_connection);
    tcase_add_test(tcase, test_stop_ends_waiting_readers_and_tells_of_clients);
    suite_add_tcase(suite, tcase);
    return suite;
}

RATOON_TEST_MAIN(socket_peers_suite)
