/* Promise (realtime.c): a period of a JACK client whose cycle ended while it was copied reaches no
 * reader, whatever the channel, the place and the pace at which the next one was written over it;
 * all others do, and what is missing is a loss of exactly those. The server is one of our own,
 * which begins a cycle in the middle of a callback. */
#include <math.h>

#include "check.h"
#include "reader.h"
#include "realtime.h"

enum { CHANNELS = 3, PERIOD = 64, CYCLES = 2000, RATE = 48000 };
enum { CHUNK_FRAMES = PERIOD, BLOCK_FRAMES = CYCLES * PERIOD, BLOCK_ROWS = CYCLES };

/* The server. */
static float ports[CHANNELS][PERIOD];
static uint32_t cycle_frame;
static int moves_at = -1; /* the next cycle begins as this port's buffer is asked for, */
static int overwrites;    /* and this many ports hold it by then */

static void play(int port) {
    for (int i = 0; i < PERIOD; i++) {
        ports[port][i] = (float)(cycle_frame + (uint32_t)i) * 0x1p-24f;
    }
}

static void *buffer_of(sa_jack_port_handle *port, uint32_t frames) {
    CHECK_EQUAL(frames, PERIOD);
    int index = (int)((float(*)[PERIOD])(void *)port - ports);
    if (index == moves_at) {
        cycle_frame += PERIOD;
        for (int other = 0; other < overwrites; other++) {
            play(CHANNELS - 1 - other);
        }
        moves_at = -1;
    }
    return port;
}

static uint32_t frame_of_the_cycle(const sa_jack_handle *client) {
    (void)client;
    return cycle_frame;
}

static void no_latency(sa_jack_port_handle *port, int mode, sa_jack_latency_range *range) {
    (void)port, (void)mode;
    *range = (sa_jack_latency_range){0};
}

static int connected_once(const sa_jack_port_handle *port) {
    (void)port;
    return 1;
}

static const sa_jack_library library = {
    .is_jack2 = true,
    .port_get_buffer = buffer_of,
    .last_frame_time = frame_of_the_cycle,
    .frame_time = frame_of_the_cycle,
    .port_get_latency_range = no_latency,
    .port_connected = connected_once,
};

static void begin_cycle(void) {
    cycle_frame += PERIOD;
    for (int port = 0; port < CHANNELS; port++) {
        play(port);
    }
}

static sa_jack_feed a_feed(sa_capture *capture) {
    static float interleaved[PERIOD * CHANNELS];
    sa_jack_feed feed = {.capture = capture,
                         .library = &library,
                         .input_count = CHANNELS,
                         .watched = true,
                         .interleaved = interleaved,
                         .room = PERIOD,
                         .frame_ns = 1e9 / (double)RATE};
    for (int port = 0; port < CHANNELS; port++) {
        feed.inputs[port] = (sa_jack_port_handle *)(void *)ports[port];
    }
    feed.latency_port = feed.inputs[0];
    return feed;
}

/* Each frame has its number in all channels, and gaps are between the chunks. */
static void check_chunks(const sa_reader *reader, const float *frames) {
    int64_t end = 0;
    int64_t first = llround((double)frames[0] * 0x1p24);
    for (int64_t i = 0; i < reader->progress.rows; i++) {
        const int64_t *row = reader->block.rows + i * SA_CHUNK_COLUMNS;
        CHECK_EQUAL(row[SA_CHUNK_FRAME], end + row[SA_CHUNK_HOST_LOST]);
        end = row[SA_CHUNK_FRAME] + row[SA_CHUNK_FRAMES];
        for (int64_t k = 0; k < row[SA_CHUNK_FRAMES]; k++) {
            for (int channel = 0; channel < CHANNELS; channel++) {
                float told = frames[(row[SA_CHUNK_OFFSET] + k) * CHANNELS + channel];
                CHECK_EQUAL(llround((double)told * 0x1p24), first + row[SA_CHUNK_FRAME] + k);
            }
        }
    }
}

static int64_t run(uint64_t *random, bool counted) {
    sa_capture *capture = sa_capture_create(sa_clock_real(), RATE, CHANNELS, BLOCK_FRAMES, CYCLES);
    capture->counted_by_host = counted;
    sa_reader *reader = sa_reader_create(capture, CHUNK_FRAMES, true, 0);
    static float frames[BLOCK_FRAMES * CHANNELS], peaks[BLOCK_ROWS * CHANNELS];
    static double squares[BLOCK_ROWS * CHANNELS];
    static int64_t rows[BLOCK_ROWS * SA_CHUNK_COLUMNS];
    sa_reader_lend(reader,
                   &(sa_block){frames, rows, peaks, squares, BLOCK_FRAMES, BLOCK_ROWS, NULL, 0});
    sa_jack_feed feed = a_feed(capture);
    int64_t torn = 0;
    cycle_frame = 0;
    for (int i = 0; i < CYCLES; i++) {
        begin_cycle();
        bool late = i > 0 && i < CYCLES - 1 && below(random, 10) == 0;
        moves_at = late ? (int)below(random, CHANNELS) : -1;
        overwrites = (int)below(random, CHANNELS + 1);
        torn += late;
        CHECK_EQUAL(sa_jack_process(PERIOD, &feed), 0);
        if (late) { /* it is called for that cycle, too */
            for (int port = 0; port < CHANNELS; port++) {
                play(port);
            }
            CHECK_EQUAL(sa_jack_process(PERIOD, &feed), 0);
        }
    }
    sa_capture_finish(capture);
    sa_reader_read(reader);
    CHECK(reader->progress.finished);
    CHECK_EQUAL(reader->progress.host_lost, torn * PERIOD);
    CHECK_EQUAL(reader->progress.captured, CYCLES * PERIOD);
    check_chunks(reader, frames);
    sa_reader_destroy(reader);
    sa_capture_destroy(capture);
    return torn;
}

int main(int argc, char **argv) {
    uint64_t random = seed_from(argc, argv);
    int64_t torn = run(&random, true) + run(&random, false);
    printf("of %d cycles %" PRId64 " ended in a copy, and were lost\n", 2 * CYCLES, torn);
    return 0;
}
