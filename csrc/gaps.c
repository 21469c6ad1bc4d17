#include "gaps.h"

void sa_gaps_init(sa_gaps *gaps, sa_capture *capture, int64_t hold_ns) {
    *gaps = (sa_gaps){.capture = capture, .hold_ns = hold_ns};
}

/* The packet's host frame, unwrapped next to that of the last judged packet: 32 bits wrap after a
 * day at 48 kHz; their signed difference does not. */
static int64_t unwrapped(const sa_gaps *gaps, const sa_packet *packet) {
    return gaps->host_frame + (int32_t)(packet->host_frame - (uint32_t)gaps->host_frame);
}

/* Frames by which the host's count is ahead of what is accounted for; negative: behind. */
static int64_t frames_ahead(const sa_gaps *gaps, const sa_packet *packet) {
    return unwrapped(gaps, packet) - (packet->position + gaps->lost + gaps->residual);
}

/* The first packets may have been late themselves: the lowest residual before any loss counts.
 * (After a loss, a count that is behind means that too much was believed; the next loss is then
 * that much shorter.) */
static void settle_residual(sa_gaps *gaps, const sa_packet *packet) {
    int64_t ahead = frames_ahead(gaps, packet);
    if (ahead < 0 && gaps->lost == 0) {
        gaps->residual += ahead;
    }
}

int64_t sa_gaps_judge(sa_gaps *gaps, bool finished) {
    sa_capture *capture = gaps->capture;
    sa_ring *packets = &capture->packets;
    const sa_packet *packet = sa_ring_peek(packets, 0);
    if (!capture->counted_by_host) {
        return 0;
    }
    if (!gaps->started) {
        gaps->host_frame = packet->host_frame;
        gaps->residual = gaps->host_frame - packet->position;
        gaps->started = true;
        return 0;
    }
    settle_residual(gaps, packet);
    bool decide = finished || sa_clock_now(capture->clock) - packet->entry_ns > gaps->hold_ns;
    int64_t lost = frames_ahead(gaps, packet);
    for (uint64_t ahead = 1; lost > 0; ahead++) {
        if (sa_ring_available(packets, ahead + 1) <= ahead) {
            if (!decide) {
                return SA_UNDECIDED;
            }
            break;
        }
        /* While a burst makes the lateness good, it falls from packet to packet. */
        int64_t next = frames_ahead(gaps, sa_ring_peek(packets, ahead));
        if (next >= lost) {
            break;
        }
        lost = next;
    }
    lost = lost > 0 ? lost : 0;
    gaps->host_frame = unwrapped(gaps, packet);
    gaps->lost += lost;
    return lost;
}
