#include "wait.h"

#include <sched.h>

#include "platform.h"
#include "thread_role.h"

/* A sleep ends late, and packets come a little early as often as late; so it is to end this long
 * before one is due, and as much earlier as the last sleeps were late. */
static const int64_t LEAD_NS = 30 * 1000;
static const int64_t LATEST_NS = 200 * 1000; /* a sleep that is later counts as so late */

/* How late the calling thread's sleeps end, on average: its timer slack, and the way to a core. */
enum { USUALLY_LATE_NS = 50 * 1000 };
static _Thread_local int64_t sleeps_late_ns = USUALLY_LATE_NS;

/* Long chunks may be late by this part of their length, so that one look finds them. */
enum { CHUNK_PARTS_LATE = 256 };

/* If it is not there yet the wait looks again after this long, then at growing intervals. */
static const int64_t FIRST_LOOK_NS = 15 * 1000;
static const int64_t LAST_LOOK_NS = 5 * 1000 * 1000;

/* While looks follow one another that closely the wait does not sleep in between, which would take
 * longer; but it keeps a core busy for so long at most. */
static const int64_t WATCH_NS = 200 * 1000;

/* How often the wait looks at a source that the clock does not pace. */
static const int64_t FREEWHEEL_LOOK_NS = 200 * 1000;

/* A device that gets ahead of real time by more than this at once is such a source, too: JACK when
 * it freewheels, ALSA's null device. No host has so much to make good after a stall. */
static const int64_t RACING_NS = 3000 * 1000 * 1000LL;
static const int64_t SPEED_NS = 20 * 1000 * 1000; /* over which its speed is taken, at least */

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

/* When to look for the packet that finishes the last of the chunks that are waited for. */
static int64_t next_due(const sa_reader *reader, int64_t now) {
    if (reader->freewheel || reader->racing) {
        return now + FREEWHEEL_LOOK_NS;
    }
    int64_t period = reader->timeline.last_period;
    if (period == 0) {
        return now + LAST_LOOK_NS / 2; /* no packet yet */
    }
    int64_t have = sa_reader_open_frames(reader);
    int64_t loop_frame = reader->timeline.loop_frame;
    int64_t wanted = reader->chunk_frames * reader->chunks_at_once;
    int64_t missing = smaller(wanted - have, reader->limit - loop_frame);
    int64_t end = loop_frame + (missing + period - 1) / period * period;
    int64_t due = sa_pace_due(&reader->pace, end, reader->timeline.frame_ns);
    bool is_virtual = reader->capture->clock->is_virtual; /* which no machine's mood may change */
    int64_t lead = LEAD_NS + (is_virtual ? USUALLY_LATE_NS : sleeps_late_ns);
    due += (int64_t)((double)wanted * reader->timeline.frame_ns) / CHUNK_PARTS_LATE - lead;
    if (due > now) {
        return due;
    }
    int64_t look = (now - due - lead) / 4;
    look = look > FIRST_LOOK_NS ? look : FIRST_LOOK_NS;
    return now + (look < LAST_LOOK_NS ? look : LAST_LOOK_NS);
}

/* Has a record been published that the last read did not see? */
static bool unread(const sa_reader *reader) {
    const sa_ring *packets = &reader->capture->packets;
    return atomic_load_explicit(&packets->write_index, memory_order_relaxed) !=
           packets->seen_write;
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
    do {
        for (int i = 0; i < GLANCES; i++) {
            if (any_unread(readers, count)) {
                return true;
            }
            pause_briefly();
        }
        /* The thread that brings the packet may have been woken on this very core. */
        sched_yield();
    } while (sa_clock_now(clock) < until);
    return false;
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

/* When to look next, at the deadline at the latest. */
static int64_t next_look(sa_reader *const *readers, size_t count, int64_t now, int64_t deadline) {
    int64_t next = deadline;
    for (size_t i = 0; i < count; i++) {
        if (!readers[i]->progress.finished) {
            next = smaller(next, next_due(readers[i], now));
        }
    }
    return next;
}

int64_t sa_wait_and_read(sa_reader *const *readers, size_t count, sa_sleeper *sleeper,
                         int64_t deadline_ns, const int *bells, size_t bell_count) {
    for (size_t i = 0; i < bell_count; i++) {
        sa_bell_ring(bells[i]);
    }
    const sa_clock *clock = sa_sleeper_clock(sleeper);
    int64_t due = SA_NEVER; /* the caller was busy: nobody knows when it was to be back */
    int64_t may_watch_ns = clock->is_virtual ? 0 : WATCH_NS;
    int64_t now;
    bool woken = false;
    for (;;) {
        now = sa_clock_now(clock);
        bool ready = look(readers, count, clock, now, due);
        if (ready || woken || now >= deadline_ns) {
            break;
        }
        int64_t until = next_look(readers, count, now, deadline_ns);
        /* The due time was reckoned from the packets read; one that came since would make the
         * sleep a period too long. */
        bool arrived = any_unread(readers, count);
        if (!arrived && may_watch_ns > 0 && until - now <= FIRST_LOOK_NS) {
            arrived = watch(readers, count, clock, now + may_watch_ns);
            until = sa_clock_now(clock);
            may_watch_ns -= until - now;
        }
        due = arrived ? now : until;
        woken = !arrived && sleep_until(sleeper, clock, until);
    }
    give_up_roles(readers, count);
    return now;
}

int64_t sa_wait_for_chunk(sa_reader *reader, sa_sleeper *sleeper, int64_t deadline_ns) {
    int64_t before = reader->progress.rows;
    int64_t looked = sa_wait_and_read(&reader, 1, sleeper, deadline_ns, NULL, 0);
    bool only = reader->progress.rows == before + 1 && !reader->progress.finished;
    return only && sa_reader_is_regular(reader, before) ? looked : -1;
}

void sa_read_more(sa_reader *const *readers, size_t count, const sa_sleeper *sleeper) {
    if (any_unread(readers, count)) {
        const sa_clock *clock = sa_sleeper_clock(sleeper);
        look(readers, count, clock, sa_clock_now(clock), SA_NEVER);
        give_up_roles(readers, count);
    }
}
