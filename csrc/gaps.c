#include "gaps.h"

#include <math.h>

#include "overwritten.h"

void sa_gaps_init(sa_gaps *gaps, sa_capture *capture, bool live, int64_t hold_ns) {
    *gaps = (sa_gaps){.capture = capture, .live = live, .hold_ns = hold_ns};
    sa_lateness_init(&gaps->lateness, capture, hold_ns);
}

static int64_t frames_in(const sa_gaps *gaps, int64_t span_ns) {
    return llround((double)span_ns * 1e-9 * gaps->capture->sample_rate);
}

/* ---- the machine's sleep ---- */

/* The packet after the longest pause since `since_ns` is the first after the sleep; if the pause
 * lasts still, it is the next to come. */
static int64_t first_entry_after_sleep(sa_gaps *gaps, int64_t since_ns, int64_t now_ns) {
    sa_ring *packets = &gaps->capture->packets;
    int64_t before = gaps->last_ns;
    int64_t longest = 0;
    int64_t found = now_ns;
    uint64_t waiting = sa_ring_available(packets, UINT64_MAX);
    for (uint64_t i = 0; i < waiting; i++) {
        const sa_packet *packet = sa_ring_peek(packets, i);
        if (packet->entry_ns > since_ns && packet->entry_ns - before > longest) {
            longest = packet->entry_ns - before;
            found = packet->entry_ns;
        }
        before = packet->entry_ns;
    }
    return now_ns - before > longest ? now_ns : found;
}

void sa_gaps_look(sa_gaps *gaps, int64_t now_ns, int64_t suspended_ns, int64_t due_ns) {
    int64_t since_ns = gaps->standstill.looked_ns;
    int64_t slept_ns = sa_standstill_look(&gaps->standstill, now_ns, suspended_ns, due_ns);
    if (since_ns == 0) {
        gaps->asleep_ns = suspended_ns;
    } else if (slept_ns > 0 && gaps->started && gaps->live) {
        gaps->slept_ns += slept_ns;
        gaps->woke_ns = first_entry_after_sleep(gaps, since_ns, now_ns);
    } else {
        gaps->asleep_ns += slept_ns; /* nothing is missing for it */
    }
}

/* Adds what the machine slept through before the packet, if the host has not counted it. */
static void add_sleep(sa_gaps *gaps, const sa_packet *packet, sa_verdict *verdict) {
    if (gaps->slept_ns == 0 || packet->entry_ns < gaps->woke_ns) {
        return;
    }
    int64_t slept = frames_in(gaps, gaps->slept_ns);
    gaps->asleep_ns += gaps->slept_ns;
    gaps->slept_ns = 0;
    verdict->suspended = true;
    if (!gaps->capture->counted_by_host || verdict->lost < slept) {
        verdict->lost += slept;
        gaps->residual -= slept; /* the host's count knows nothing of them */
    }
}

/* ---- hosts that count frames ---- */

/* The packet's host frame: of those with its 32 bits (which wrap after a day at 48 kHz) the one
 * that is next to the last, or to what the count should be if nobody here was there to follow it.
 */
static int64_t unwrapped(const sa_gaps *gaps, const sa_packet *packet) {
    int64_t near = gaps->host_frame;
    if (gaps->live) {
        int64_t stood_ns =
            sa_standstill_between(&gaps->standstill, gaps->last_ns, packet->entry_ns);
        near += frames_in(gaps, stood_ns);
    }
    return near + (int32_t)(packet->host_frame - (uint32_t)near);
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

/* Whether a packet holds the same period as the one before it: see overwritten.h. */
typedef enum { NO, YES, LATER_PACKETS_TELL } answer;

static answer holds_the_same(const sa_gaps *gaps, uint64_t index, bool give_up) {
    sa_ring *packets = &gaps->capture->packets;
    if (!gaps->live || sa_ring_available(packets, index + 1) <= index) {
        return NO;
    }
    const sa_packet *first = sa_ring_peek(packets, 0);
    const sa_packet *packet = sa_ring_peek(packets, index);
    uint32_t count_before = index == 0 ? (uint32_t)gaps->host_frame : first->host_frame;
    uint32_t frames = index == 0 ? gaps->last_frames : first->frames;
    if (packet->host_frame != count_before || packet->frames != frames ||
        packet->lost_before > 0) {
        return NO;
    }
    bool followed = sa_ring_available(packets, index + 2) > index + 1;
    bool third = false;
    if (followed) {
        const sa_packet *next = sa_ring_peek(packets, index + 1);
        third = next->frames == frames;
    }
    int64_t from = index == 0 ? -(int64_t)frames : 0;
    if (!sa_overwritten(&gaps->capture->frames, from, frames, third)) {
        return NO;
    }
    return followed || give_up ? YES : LATER_PACKETS_TELL;
}

/* Whether so little waits that the frames that were read last are still in the ring. */
static bool last_is_still_there(const sa_gaps *gaps) {
    sa_ring *packets = &gaps->capture->packets;
    const sa_packet *first = sa_ring_peek(packets, 0);
    const sa_packet *newest = sa_ring_peek(packets, sa_ring_available(packets, UINT64_MAX) - 1);
    int64_t waiting = newest->stored_before + newest->frames - first->stored_before;
    return waiting <= (int64_t)gaps->capture->frames.capacity / 2;
}

static bool judge_by_count(sa_gaps *gaps, bool give_up, sa_verdict *verdict) {
    sa_ring *packets = &gaps->capture->packets;
    const sa_packet *packet = sa_ring_peek(packets, 0);
    settle_residual(gaps, packet);
    int64_t ahead = frames_ahead(gaps, packet);
    int64_t level = ahead;
    for (uint64_t i = 1; level > -gaps->behind; i++) {
        if (sa_ring_available(packets, i + 1) <= i) {
            if (!give_up) {
                return false;
            }
            break;
        }
        /* While a burst makes the lateness good, it falls from packet to packet. */
        int64_t next = frames_ahead(gaps, sa_ring_peek(packets, i));
        if (next >= level) {
            break;
        }
        level = next;
    }
    /* A late packet may hold what comes with the next; and one that comes after packets that were
     * all as late, so that a loss was believed, what came with the last. */
    answer twice = NO;
    if (ahead > level) {
        twice = holds_the_same(gaps, 1, give_up);
    } else if (last_is_still_there(gaps)) {
        twice = holds_the_same(gaps, 0, give_up);
    }
    if (twice == LATER_PACKETS_TELL) {
        return false;
    }
    verdict->overwritten = twice == YES;
    verdict->lost = level > 0 ? level : 0;
    gaps->behind = level < 0 ? -level : 0;
    gaps->host_frame = unwrapped(gaps, packet);
    if (verdict->overwritten && gaps->behind >= packet->frames) {
        verdict->given_up = true;
        gaps->behind -= packet->frames;
        gaps->lost -= packet->frames;
    }
    return true;
}

/* ---- all ---- */

/* The process stood still since the last packet: nothing can be read from how long this one has
 * waited before. */
static int64_t waited_ns(const sa_gaps *gaps, const sa_packet *packet) {
    int64_t since_ns = packet->entry_ns;
    if (gaps->standstill.until_ns > since_ns) {
        since_ns = gaps->standstill.until_ns;
    }
    return sa_clock_now(gaps->capture->clock) - since_ns;
}

static bool judge_by_clock(sa_gaps *gaps, bool finished, int64_t waited, sa_verdict *verdict) {
    sa_ring *packets = &gaps->capture->packets;
    const sa_packet *packet = sa_ring_peek(packets, 0);
    bool expected = sa_standstill_explains(&gaps->standstill, gaps->last_ns, packet->entry_ns, 0);
    int64_t lost = sa_lateness_judge(&gaps->lateness, packets, finished, waited, expected);
    if (lost == SA_UNDECIDED) {
        return false;
    }
    verdict->lost = lost;
    return true;
}

bool sa_gaps_judge(sa_gaps *gaps, bool finished, sa_verdict *verdict) {
    SA_CHECK(sa_ring_available(&gaps->capture->packets, 1) > 0);
    sa_capture *capture = gaps->capture;
    const sa_packet *packet = sa_ring_peek(&capture->packets, 0);
    *verdict = (sa_verdict){0};
    if (!gaps->started) {
        gaps->started = true;
        gaps->last_ns = packet->entry_ns;
        gaps->host_frame = packet->host_frame;
        gaps->residual = gaps->host_frame - packet->position;
    }
    int64_t waited = waited_ns(gaps, packet);
    bool decided = true;
    if (capture->counted_by_host) {
        decided = judge_by_count(gaps, finished || waited > gaps->hold_ns, verdict);
    } else if (packet->flags & SA_PACKET_IDLE) {
        sa_lateness_restart(&gaps->lateness);
    } else if (gaps->live) {
        decided = judge_by_clock(gaps, finished, waited, verdict);
    }
    if (!decided) {
        return false;
    }
    int64_t lost_ns = llround((double)verdict->lost / capture->sample_rate * 1e9);
    verdict->suspended =
        lost_ns > 0 && gaps->live &&
        sa_standstill_explains(&gaps->standstill, gaps->last_ns, packet->entry_ns, lost_ns);
    add_sleep(gaps, packet, verdict);
    gaps->lost += verdict->lost;
    gaps->last_ns = packet->entry_ns;
    gaps->last_frames = verdict->overwritten ? 0 : packet->frames;
    return true;
}

int64_t sa_gaps_unexplained(const sa_gaps *gaps) {
    if (gaps->capture->counted_by_host) {
        return -gaps->behind;
    }
    return sa_lateness_unexplained(&gaps->lateness);
}
