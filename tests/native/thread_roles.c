/* Promise (thread_role.h): a check build aborts, and says why, when a second thread produces or
 * consumes; with one thread a role it stays silent. Each case is played in a child of its own. */
#ifndef SA_CHECKS
#error "build with -DSA_CHECKS"
#endif

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"
#include "reader.h"
#include "realtime.h"

enum { CHUNK = 100 };

typedef struct {
    sa_capture *capture;
    sa_reader *reader;
} pair;

static void *produce(void *argument) {
    const pair *p = argument;
    const sa_host_info host = {.host_frame = 0};
    const float silence[2] = {0, 0};
    sa_capture_push(p->capture, silence, 2, &host);
    return NULL;
}

static void *consume(void *argument) {
    const pair *p = argument;
    sa_reader_read(p->reader);
    return NULL;
}

/* The other thread has ended, and still it was another: its role stays taken. */
static void in_another_thread(void *(*role)(void *), pair *p) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, role, p) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void one_thread_a_role(pair *p) {
    for (int i = 0; i < 3; i++) {
        produce(p);
    }
    in_another_thread(consume, p);
}

static void one_thread_both_roles(pair *p) {
    produce(p);
    consume(p);
}

static void a_second_producer(pair *p) {
    in_another_thread(produce, p);
    produce(p);
}

static void a_second_consumer(pair *p) {
    in_another_thread(consume, p);
    consume(p);
}

/* Runs a case in a child; returns its wait status, and what it wrote to stderr. */
static int play(void (*play_case)(pair *), char *said, size_t bytes) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        pair p = {.capture = sa_capture_create(sa_clock_real(), 48000, 1, 100, 10)};
        CHECK(p.capture);
        p.reader = sa_reader_create(p.capture, CHUNK, true, 0);
        CHECK(p.reader);
        float frames[CHUNK];
        int64_t row[SA_CHUNK_COLUMNS];
        float peak;
        double squares;
        sa_reader_lend(p.reader, &(sa_block){frames, row, &peak, &squares, CHUNK, 1, NULL, 0});
        play_case(&p);
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], said + length, bytes - 1 - length)) > 0) {
        length += (size_t)got;
    }
    said[length] = '\0';
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void expect_silence(void (*play_case)(pair *)) {
    char said[4096];
    int status = play(play_case, said, sizeof said);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(WEXITSTATUS(status), 0);
    CHECK(said[0] == '\0');
}

static void expect_abort(void (*play_case)(pair *), const char *role) {
    char said[4096];
    int status = play(play_case, said, sizeof said);
    CHECK(WIFSIGNALED(status));
    CHECK_EQUAL(WTERMSIG(status), SIGABRT);
    CHECK(strstr(said, "a second thread acts as the") && strstr(said, role));
}

int main(void) {
    expect_silence(one_thread_a_role);
    expect_silence(one_thread_both_roles);
    expect_abort(a_second_producer, "producer");
    expect_abort(a_second_consumer, "consumer");
    printf("a second producer and a second consumer abort, one of each does not\n");
    return 0;
}
