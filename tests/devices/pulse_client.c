/* Plays fake_pulse.c's server through the core, with threads that look, stop and close meanwhile:
 * for the sanitizers. Arguments: the library, and how many frames come before the end. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pulse_stream.h"
#include "reader.h"

enum { RATE = 48000, CHANNELS = 2, BLOCK = 2 * RATE, SECOND = 1000000000 };

static sa_pulse_stream *stream;
static _Atomic bool looking = true;

static void *look(void *argument) {
    sa_pulse_status status;
    sa_pulse_server server;
    while (looking) {
        sa_pulse_stream_look(stream, &status);
        sa_pulse_server_now(argument, &server);
        usleep(200);
    }
    return NULL;
}

static int fail(const char *what, const sa_pulse_error *error) {
    printf("%s: %d %s\n", what, error->status, error->text);
    return 1;
}

static int64_t record(sa_pulse *pulse, bool to_the_end) {
    static float frames[BLOCK * CHANNELS];
    static int64_t rows[1000 * SA_CHUNK_COLUMNS];
    static float peaks[1000 * CHANNELS];
    static double squares[1000 * CHANNELS];
    sa_pulse_error error;
    sa_capture *capture = sa_capture_create(sa_clock_real(), RATE, CHANNELS, 2 * RATE, 1000);
    const sa_pulse_source *source = sa_pulse_source_at(pulse, 0);
    sa_pulse_settings settings = {
        source->name, source->channel_map, RATE, CHANNELS, 480, 0, false, -1};
    stream = sa_pulse_stream_open(pulse, capture, settings, (int64_t)5 * SECOND, &error);
    if (!stream || !sa_pulse_stream_start(stream, &error)) {
        exit(fail("stream", &error));
    }
    sa_reader *reader = sa_reader_create(capture, 480, false, 0);
    sa_reader_lend(reader, &(sa_block){frames, rows, peaks, squares, BLOCK, 1000, NULL, 0});
    looking = true;
    pthread_t looker;
    pthread_create(&looker, NULL, look, pulse);
    while (!reader->progress.finished && (to_the_end || reader->progress.captured < 4800)) {
        sa_reader_read(reader);
        usleep(500);
    }
    sa_pulse_stream_stop(stream);
    looking = false;
    pthread_join(looker, NULL);
    sa_pulse_stream_close(stream);
    int64_t captured = reader->progress.captured;
    sa_reader_destroy(reader);
    sa_capture_destroy(capture);
    return captured;
}

int main(int count, char **arguments) {
    sa_pulse_error error;
    sa_pulse *pulse =
        count == 3 ? sa_pulse_connect(arguments[1], "test", (int64_t)5 * SECOND, &error) : NULL;
    if (!pulse) {
        return fail("connection", &error);
    }
    int64_t captured = record(pulse, true);
    sa_pulse_disconnect(pulse);
    if (captured != atoll(arguments[2])) {
        printf("%lld frames\n", (long long)captured);
        return 1;
    }
    pulse = sa_pulse_connect(arguments[1], "test", (int64_t)5 * SECOND, &error);
    record(pulse, false); /* closed in its midst */
    sa_pulse_disconnect(pulse);
    return 0;
}
