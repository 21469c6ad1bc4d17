/* Promise (timeline.h): whatever packets come, in any order, with any times that a broken host may
 * tell, there is a time for every frame and either a drift that is a number or none. */
#include <math.h>
#include <stdbool.h>

#include "check.h"
#include "timeline.h"

enum { RUNS = 300, PACKETS = 5000, PERIOD = 256 };

static const int64_t FAR = INT64_C(1) << 55; /* over a year in ns, and far beyond in frames */

/* Small, or anywhere up to `bound`. */
static int64_t anywhere(uint64_t *random, int64_t bound) {
    uint32_t shift = below(random, 56);
    return (int64_t)(xorshift(random) >> 8 >> (shift)) % bound;
}

static int64_t anything(uint64_t *random) {
    static const int64_t special[] = {0, 1, -1, INT64_MIN, INT64_MAX};
    return below(random, 4) == 0 ? special[below(random, 5)] : (int64_t)xorshift(random);
}

/* As a good host delivers it. */
static sa_packet next_packet(uint64_t *random, const sa_packet *last, double rate) {
    int64_t period_ns = (int64_t)((double)PERIOD / rate * 1e9);
    int64_t entry_ns = last->entry_ns + period_ns + below(random, 1000) - 500;
    return (sa_packet){
        .frames = PERIOD,
        .position = last->position + last->frames,
        .entry_ns = entry_ns,
        .host_now_ns = entry_ns,
        .host_adc_ns = entry_ns - period_ns,
    };
}

static sa_packet odd_packet(uint64_t *random, const sa_packet *last) {
    static const uint32_t lengths[] = {0, 1, 16, 256, 480, 8192, UINT32_MAX};
    sa_packet packet = {.frames = lengths[below(random, 7)]};
    bool in_order = below(random, 8) != 0;
    packet.position = in_order ? last->position + last->frames : anywhere(random, FAR);
    if (packet.position > FAR) {
        packet.position = 0;
    }
    packet.entry_ns =
        in_order ? last->entry_ns + anywhere(random, INT64_C(1) << 34) : anywhere(random, FAR);
    if (below(random, 3) == 0) {
        packet.host_adc_ns = anything(random);
        packet.host_now_ns = anything(random);
    } else {
        packet.host_now_ns = packet.entry_ns;
        packet.host_adc_ns = packet.entry_ns - anywhere(random, INT64_C(1) << 28);
    }
    return packet;
}

int main(int argc, char **argv) {
    uint64_t random = seed_from(argc, argv);
    static const double rates[] = {1000, 44100, 48000, 768000};
    static const uint32_t oddities[] = {1, 2, 50, 10000}; /* one packet in so many is odd */
    int64_t used = 0, known = 0;
    for (int run = 0; run < RUNS; run++) {
        static sa_timeline timeline;
        double rate = rates[run % 4];
        uint32_t oddity = oddities[run / 4 % 4];
        sa_timeline_init(&timeline, rate, anywhere(&random, FAR));
        sa_packet packet = {.entry_ns = FAR / 2};
        for (int i = 0; i < PACKETS; i++) {
            packet = below(&random, oddity) == 0 ? odd_packet(&random, &packet)
                                                 : next_packet(&random, &packet, rate);
            sa_timeline_advance(&timeline, &packet, packet.position);
            CHECK(isfinite(timeline.loop_time));
            CHECK(isfinite(timeline.frame_ns) && timeline.frame_ns > 0);
            CHECK(isfinite(timeline.adc.age_ns) && isfinite(timeline.adc.mean_age_ns));
            CHECK(isnan(timeline.drift.ppm) == isnan(timeline.drift.error_ppm));
            CHECK(isnan(timeline.drift.ppm) || isfinite(timeline.drift.ppm));
            CHECK(!(timeline.drift.error_ppm < 0) && !isinf(timeline.drift.error_ppm));
            double anywhen = (double)anything(&random);
            CHECK(sa_timeline_time_of(&timeline, anywhen) != INT64_MIN);
        }
        used += timeline.adc.used;
        known += !isnan(timeline.drift.ppm);
    }
    CHECK(used > RUNS / 10 && used < RUNS);
    CHECK(known > RUNS / 10 && known < RUNS);
    printf("%d runs of %d packets, ADC times used in %" PRId64 ", a drift found in %" PRId64 "\n",
           RUNS, PACKETS, used, known);
    return 0;
}
