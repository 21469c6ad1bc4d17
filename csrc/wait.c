#include "wait.h"

#include <sched.h>

#include "platform.h"
#include "thread_role.h"
#include "watch.h"

/* A sleep ends late, and packets come a little early as often as late; so it is to end this long
 * before one is due, and as much earlier as the last sleeps were late. */
static const int64_t LEAD_NS = 30 * 1000;
static const int64_t LATEST_NS = 200 * 1000; /* a sleep that is later counts as so late */

/* How late the calling thread's sleeps end, on average: its timer slack, and the way to a core. */
enum { USUALLY_LATE_NS = 50 * 1000 };
static _Thread_local int64_t sleeps_late_ns = USUALLY_LATE_NS;

/* Long chunks may be late by this part of their length, so that one look finds them. */
enum { CHUNK_PARTS_LATE = 256 };

/* What is late is looked for after this long at the latest. A bell cuts that short; a ring that
 * got lost would cost no more. Where nobody rings, the looks come at intervals that grow to it. */
static const int64_t FIRST_LOOK_NS = 15 * 1000;
static const int64_t LAST_LOOK_NS = 5 * 1000 * 1000;

/* The wait keeps a core busy for so long at most, and only if it begins to watch in time. */
static const int64_t WATCH_NS = 200 * 1000;
static const int64_t LATEST_WATCH_NS = 150 * 1000;

/* How often the wait looks at a source that the clock does not pace, while something comes. */
static const int64_t FREEWHEEL_LOOK_NS = 200 * 1000;

/* A device that gets ahead of real time by more than this at once is such a source, too: JACK when
 * it freewheels, ALSA's null device. No host has so much to make good after a stall. */
static const int64_t RACING_NS = 3000 * 1000 * 1000LL;
static const int64_t SPEED_NS = 20 * 1000 * 1000; /* over which its speed is taken, at least */

static _Thread_local sa_watch watching;

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void note_speed(sa_reader *reader, int64_t now) {
    int64_t elapsed_ns = now - reader->looked_ns;
    if (elapsed_ns < SPEED_NS) {
        return;
    }
    int64_t frames = reader->progress.position - reader->looked_position;
    double lasts_ns = (double)frames * 1e9 / reader->capture->sample_rate;
    double leeway_ns = reader->racing ? 0 : (double)RACING_NS;
    bool known = reader->looked_ns != 0;
    reader->racing = known && lasts_ns > 2 * (double)elapsed_ns + leeway_ns;
    reader->looked_ns = now;
    reader->looked_position = reader->progress.position;
}

/* The position, losses included, at which the last of the chunks that are waited for is whole. */
static int64_t wanted_position(const sa_reader *reader) {
    int64_t have = sa_reader_open_frames(reader);
    int64_t wanted = reader->chunk_frames * reader->chunks_at_once;
    return smaller(reader->timeline.loop_frame + wanted - have, reader->limit);
}

/* When the packet is due that brings that position, less what a sleep until then would be late;
 * in the past if it is late. */
static int64_t next_due(const sa_reader *reader, int64_t now) {
    if (reader->freewheel || reader->racing) {
        int64_t idle = (now - reader->progress.last_entry_ns) / 4;
        idle = idle > FREEWHEEL_LOOK_NS ? idle : FREEWHEEL_LOOK_NS;
        return now + smaller(idle, LAST_LOOK_NS);
    }
    int64_t period = reader->timeline.last_period;
    if (period == 0) {
        return now + LAST_LOOK_NS / 2; /* no packet yet */
    }
    int64_t loop_frame = reader->timeline.loop_frame;
    int64_t missing = wanted_position(reader) - loop_frame;
    int64_t end = loop_frame + (missing + period - 1) / period * period;
    int64_t due = sa_pace_due(&reader->pace, end, reader->timeline.frame_ns);
    bool is_virtual = reader->capture->clock->is_virtual; /* which no machine's mood may change */
    int64_t lead = LEAD_NS + (is_virtual ? USUALLY_LATE_NS : sleeps_late_ns);
    int64_t frames = reader->chunk_frames * reader->chunks_at_once;
    return due + (int64_t)((double)frames * reader->timeline.frame_ns) / CHUNK_PARTS_LATE - lead;
}

static int64_t earliest_due(sa_reader *const *readers, size_t count, int64_t now) {
    int64_t due = SA_NEVER;
    for (size_t i = 0; i < count; i++) {
        if (!readers[i]->progress.finished) {
            due = smaller(due, next_due(readers[i], now));
        }
    }
    return due;
}

/* Can its capture tell when that position is there? What the clock does not pace is looked at. */
static bool may_be_rung_for(const sa_reader *reader) {
    return reader->capture->may_ring && !reader->capture->clock->is_virtual &&
           !reader->freewheel && !reader->racing;
}

/* Has a record been published that the last read did not see, or the capture ended? */
static bool unread(const sa_reader *reader) {
    const sa_ring *packets = &reader->capture->packets;
    return atomic_load_explicit(&packets->write_index, memory_order_relaxed) !=
               packets->seen_write ||
           atomic_load_explicit(&reader->capture->finished, memory_order_relaxed);
}

static bool any_unread(sa_reader *const *readers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!readers[i]->progress.finished && unread(readers[i])) {
            return true;
        }
    }
    return false;
}

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Watches for a packet until then, or a little longer; true if one has come. */
static bool watch(sa_reader *const *readers, size_t count, const sa_clock *clock, int64_t until) {
    enum { GLANCES = 16 }; /* reading the clock takes longer than a glance */
    int64_t now;
    do {
        for (int i = 0; i < GLANCES; i++) {
            if (any_unread(readers, count)) {
                return true;
            }
            pause_briefly();
        }
        /* The thread that brings the packet may have been woken on this very core. */
        int64_t before = sa_clock_now(clock);
        sched_yield();
        now = sa_clock_now(clock);
        sa_watch_note_yield(&watching, now - before);
    } while (now < until && sa_watch_is_on(&watching));
    return any_unread(readers, count);
}

/* Takes in all that is ready; true if the caller should have it. `due`: when this look was due. */
static bool look(sa_reader *const *readers, size_t count, const sa_clock *clock, int64_t now,
                 int64_t due) {
    bool ready = false;
    int64_t suspended = sa_clock_suspended(clock);
    for (size_t i = 0; i < count; i++) {
        int64_t rows = readers[i]->progress.rows;
        bool finished = readers[i]->progress.finished;
        sa_gaps_look(&readers[i]->gaps, now, suspended, due);
        sa_reader_read(readers[i]);
        note_speed(readers[i], now);
        const sa_progress *progress = &readers[i]->progress;
        ready |=
            progress->rows > rows || progress->waiting > 0 || (progress->finished && !finished);
    }
    return ready;
}

/* The next call may come from another thread, which has waited for this one to be over. */
static void give_up_roles(sa_reader *const *readers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        sa_capture *capture = readers[i]->capture;
        SA_GIVE_UP_ROLE(&capture->consumer_thread);
        (void)capture;
    }
}

/* Sleeps; true if woken. */
static bool sleep_until(sa_sleeper *sleeper, const sa_clock *clock, int64_t until) {
    int64_t now = sa_clock_now(clock);
    bool woken = sa_sleeper_sleep(sleeper, until);
    if (!woken && until > now && !clock->is_virtual) {
        int64_t late = smaller(sa_clock_now(clock) - until, LATEST_NS);
        sleeps_late_ns += (late - sleeps_late_ns) / 8;
    }
    return woken;
}

/* Sleeps until a capture has what its reader waits for, too; true if woken for something else. */
static bool sleep_by_the_bell(sa_reader *const *readers, size_t count, sa_sleeper *sleeper,
                              int64_t until) {
    for (size_t i = 0; i < count; i++) {
        if (!readers[i]->progress.finished && may_be_rung_for(readers[i])) {
            /* As the audio thread counts: it knows of no frames that the host lost. The first
             * packet tells how long the next ones are. */
            int64_t position = wanted_position(readers[i]) - readers[i]->gaps.lost;
            position = readers[i]->timeline.last_period > 0 ? position : 0;
            sa_capture_ask_to_be_rung(readers[i]->capture, sleeper, position);
        }
    }
    uint32_t rung = 0;
    if (!any_unread(readers, count)) { /* nothing came before it was asked for */
        rung = sa_doorbell_sleep(sa_sleeper_doorbell(sleeper),
                                 SA_RUNG_TO_WAKE | SA_RUNG_FOR_A_CHUNK, until);
    }
    for (size_t i = 0; i < count; i++) {
        sa_capture_be_rung_no_more(readers[i]->capture);
    }
    return rung & SA_RUNG_TO_WAKE;
}

/* When to look next if no bell rings before, at the deadline at the latest. */
static int64_t next_look(sa_reader *const *readers, size_t count, int64_t now, int64_t deadline) {
    int64_t next = deadline;
    for (size_t i = 0; i < count; i++) {
        if (readers[i]->progress.finished) {
            continue;
        }
        int64_t due = next_due(readers[i], now);
        int64_t late = now - due;
        if (may_be_rung_for(readers[i])) {
            due = (late > 0 ? now : due) + LAST_LOOK_NS;
        } else if (late >= 0) {
            int64_t look = late / 4 > FIRST_LOOK_NS ? late / 4 : FIRST_LOOK_NS;
            due = now + smaller(look, LAST_LOOK_NS);
        }
        next = smaller(next, due);
    }
    return next;
}

int64_t sa_wait_and_read(sa_reader *const *readers, size_t count, sa_sleeper *sleeper,
                         int64_t deadline_ns, const int *bells, size_t bell_count) {
    for (size_t i = 0; i < bell_count; i++) {
        sa_bell_ring(bells[i]);
    }
    for (size_t i = 0; i < count; i++) {
        sa_capture_hang_bell(readers[i]->capture, sleeper);
    }
    const sa_clock *clock = sa_sleeper_clock(sleeper);
    int64_t due = SA_NEVER; /* the caller was busy: nobody knows when it was to be back */
    int64_t may_watch_ns = clock->is_virtual ? 0 : WATCH_NS;
    int64_t now;
    bool woken = false;
    for (;;) {
        now = sa_clock_now(clock);
        bool ready = look(readers, count, clock, now, due);
        if (ready) {
            sa_watch_note_audio(&watching);
        }
        if (ready || woken || now >= deadline_ns) {
            break;
        }
        int64_t packet_due = earliest_due(readers, count, now);
        /* That was reckoned from the packets read; one that came since would make the sleep a
         * period too long. */
        if (any_unread(readers, count)) {
            due = now;
            continue;
        }
        bool watches = !clock->is_virtual && may_watch_ns > 0 && sa_watch_is_on(&watching);
        if (watches && now >= packet_due && now - packet_due <= LATEST_WATCH_NS) {
            bool arrived = watch(readers, count, clock, smaller(now + may_watch_ns, deadline_ns));
            due = sa_clock_now(clock);
            may_watch_ns -= due - now;
            due = arrived ? now : due;
        } else if (watches && now < packet_due) {
            due = smaller(packet_due, deadline_ns);
            woken = sleep_until(sleeper, clock, due);
        } else {
            due = next_look(readers, count, now, deadline_ns);
            woken = clock->is_virtual ? sleep_until(sleeper, clock, due)
                                      : sleep_by_the_bell(readers, count, sleeper, due);
        }
    }
    give_up_roles(readers, count);
    return now;
}

void sa_read_more(sa_reader *const *readers, size_t count, const sa_sleeper *sleeper) {
    if (any_unread(readers, count)) {
        const sa_clock *clock = sa_sleeper_clock(sleeper);
        look(readers, count, clock, sa_clock_now(clock), SA_NEVER);
        give_up_roles(readers, count);
    }
}
