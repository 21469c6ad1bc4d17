#include "reader.h"

#include <stdlib.h>
#include <unistd.h>

#include "levels.h"
#include "thread_role.h"

/* Frames copied at a time: their levels are found while they are in the first-level cache. */
enum { BITE_BYTES = 8192 };

/* A sleep ends late, and packets come a little early as often as late; so it is to end this long
 * before one is due, and as much earlier as the last sleeps were late. */
static const int64_t LEAD_NS = 30 * 1000;
static const int64_t LATEST_NS = 200 * 1000; /* a sleep that is later counts as so late */

/* How late the calling thread's sleeps end, on average: its timer slack, and the way to a core. */
static _Thread_local int64_t sleeps_late_ns = 50 * 1000;

/* Long chunks may be late by this part of their length, so that one look finds them. */
enum { CHUNK_PARTS_LATE = 256 };

/* If it is not there yet the wait looks again after this long, then at growing intervals. */
static const int64_t FIRST_LOOK_NS = 15 * 1000;
static const int64_t LAST_LOOK_NS = 5 * 1000 * 1000;

/* While looks follow one another that closely the wait does not sleep in between, which would take
 * longer; but it keeps a core busy for so long at most. */
static const int64_t WATCH_NS = 120 * 1000;

/* How often the wait looks at a source that the clock does not pace. */
static const int64_t FREEWHEEL_LOOK_NS = 200 * 1000;

/* A device that gets ahead of real time by more than this at once is such a source, too: JACK when
 * it freewheels, ALSA's null device. No host has so much to make good after a stall. */
static const int64_t RACING_NS = 3000 * 1000 * 1000LL;
static const int64_t SPEED_NS = 20 * 1000 * 1000; /* over which its speed is taken, at least */

sa_reader *sa_reader_create(sa_capture *capture, int64_t chunk_frames, bool freewheel,
                            int64_t hold_ns) {
    sa_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        return NULL;
    }
    reader->capture = capture;
    reader->chunk_frames = chunk_frames;
    reader->limit = INT64_MAX;
    reader->chunks_at_once = 1;
    reader->last_time_ns = INT64_MIN;
    reader->freewheel = freewheel;
    sa_gaps_init(&reader->gaps, capture, !freewheel && !capture->source_waits, hold_ns);
    sa_timeline_init(&reader->timeline, capture->sample_rate, capture->host_latency_ns);
    return reader;
}

void sa_reader_destroy(sa_reader *reader) {
    free(reader);
}

void sa_reader_lend(sa_reader *reader, const sa_block *block) {
    reader->block = *block;
    reader->used_frames = 0;
    reader->progress.rows = 0;
    reader->progress.waiting = 0;
}

static int64_t *open_row(sa_reader *reader) {
    return reader->block.rows + reader->progress.rows * SA_CHUNK_COLUMNS;
}

/* The loop may set its clock back a little; a later frame is later all the same. */
static void set_time(sa_reader *reader, int64_t *row) {
    int64_t time_ns = sa_timeline_time_of(&reader->timeline, (double)row[SA_CHUNK_FRAME]);
    reader->last_time_ns = time_ns > reader->last_time_ns ? time_ns : reader->last_time_ns + 1;
    row[SA_CHUNK_TIME_NS] = reader->last_time_ns;
}

static void close_chunk(sa_reader *reader) {
    if (reader->chunk_open) {
        int64_t *row = open_row(reader);
        if (row[SA_CHUNK_FRAMES] == reader->progress.captured && !reader->freewheel) {
            /* The first: its first packet may have been late, which the others have told. */
            reader->last_time_ns = INT64_MIN;
            set_time(reader, row);
        }
        reader->chunk_open = false;
        reader->progress.rows++;
    }
}

/* Starts a chunk at the next frame of the packet; false if the block has no room for a whole one.
 */
static bool open_chunk(sa_reader *reader) {
    if (reader->block.capacity_frames - reader->used_frames < reader->chunk_frames ||
        reader->progress.rows == reader->block.capacity_rows) {
        return false;
    }
    int64_t position = reader->packet_position + reader->packet_taken;
    int64_t *row = open_row(reader);
    row[SA_CHUNK_FRAME] = position;
    row[SA_CHUNK_FRAMES] = 0;
    row[SA_CHUNK_OFFSET] = reader->used_frames;
    set_time(reader, row);
    row[SA_CHUNK_RING_LOST] = reader->pending_ring_lost;
    row[SA_CHUNK_HOST_LOST] = reader->pending_host_lost;
    row[SA_CHUNK_SUSPENDED] = reader->pending_suspended;
    row[SA_CHUNK_OVERFLOWS] = 0;
    reader->pending_ring_lost = 0;
    reader->pending_host_lost = 0;
    reader->pending_suspended = 0;
    reader->chunk_open = true;
    return true;
}

/* Passes over the frames of the packet, which are not the ones it stands for. */
static void discard(sa_reader *reader, const sa_packet *packet, bool given_up) {
    sa_progress *progress = &reader->progress;
    sa_ring_skip(&reader->capture->frames, packet->frames);
    reader->packet_taken = packet->frames;
    progress->overwritten += packet->frames;
    if (!given_up) {
        close_chunk(reader);
        reader->pending_host_lost += packet->frames;
        progress->host_lost += packet->frames;
    }
}

/* Judges the packet at the head and moves the timeline on; false: later packets must tell. */
static bool judge(sa_reader *reader, const sa_packet *packet, bool finished) {
    sa_progress *progress = &reader->progress;
    sa_verdict verdict;
    if (!sa_gaps_judge(&reader->gaps, finished, &verdict)) {
        return false;
    }
    reader->packet_judged = true;
    reader->packet_taken = 0;
    reader->packet_position = packet->position + reader->gaps.lost;
    if (!verdict.given_up) { /* else it has no place of its own */
        sa_timeline_advance(&reader->timeline, packet, reader->packet_position);
    }
    if (packet->lost_before > 0 || verdict.lost > 0) {
        close_chunk(reader); /* a chunk is contiguous */
        int64_t suspended = verdict.suspended ? verdict.lost : 0;
        int64_t host_lost = verdict.lost - suspended;
        reader->pending_ring_lost += packet->lost_before;
        reader->pending_host_lost += host_lost;
        reader->pending_suspended += suspended;
        progress->ring_lost += packet->lost_before;
        progress->host_lost += host_lost;
        progress->suspended += suspended;
    }
    sa_pace_note(&reader->pace, reader->packet_position + packet->frames, packet->entry_ns);
    if (verdict.overwritten) {
        discard(reader, packet, verdict.given_up);
    }
    progress->unexplained = sa_gaps_unexplained(&reader->gaps);
    progress->packets++;
    progress->last_entry_ns = packet->entry_ns;
    sa_histogram_record(&reader->callbacks, packet->duration_ns);
    if (packet->duration_ns > progress->longest_callback_ns) {
        progress->longest_callback_ns = packet->duration_ns;
    }
    return true;
}

/* Copies the rest of the judged packet out, chunk by chunk; false if the block is full. */
static bool take(sa_reader *reader, const sa_packet *packet) {
    sa_capture *capture = reader->capture;
    uint32_t channels = capture->channels;
    int64_t bite = BITE_BYTES / (int64_t)capture->frames.frame_bytes;
    while (reader->packet_taken < packet->frames &&
           reader->packet_position + reader->packet_taken < reader->limit) {
        if (!reader->chunk_open && !open_chunk(reader)) {
            return false;
        }
        int64_t *row = open_row(reader);
        int64_t count = reader->chunk_frames - row[SA_CHUNK_FRAMES];
        int64_t rest = packet->frames - reader->packet_taken;
        int64_t allowed = reader->limit - reader->packet_position - reader->packet_taken;
        count = count < rest ? count : rest;
        count = count < allowed ? count : allowed;
        count = count < bite ? count : bite;

        float *samples = reader->block.frames + reader->used_frames * channels;
        sa_ring_copy_out(&capture->frames, samples, (uint64_t)count);
        int64_t levels = reader->progress.rows * channels;
        sa_levels_add(samples, count, channels, reader->block.peaks + levels,
                      reader->block.squares + levels);

        row[SA_CHUNK_FRAMES] += count;
        row[SA_CHUNK_ARRIVAL_NS] = packet->entry_ns;
        reader->used_frames += count;
        reader->packet_taken += (uint32_t)count;
        reader->progress.captured += count;
        reader->progress.position = reader->packet_position + reader->packet_taken;
        if (row[SA_CHUNK_FRAMES] == reader->chunk_frames) {
            close_chunk(reader);
        }
    }
    if (packet->flags & SA_PACKET_OVERFLOW && reader->packet_taken > 0) {
        reader->progress.overflows++;
        if (reader->chunk_open) {
            open_row(reader)[SA_CHUNK_OVERFLOWS]++;
        } else if (reader->progress.rows > 0) {
            (open_row(reader) - SA_CHUNK_COLUMNS)[SA_CHUNK_OVERFLOWS]++;
        }
    }
    return true;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Ends the last chunk. Losses that no chunk follows are told apart, as far as the limit. */
static void finish(sa_reader *reader) {
    sa_progress *progress = &reader->progress;
    close_chunk(reader);
    int64_t unrecorded = sa_capture_count(reader->capture).unrecorded_loss;
    progress->ring_lost -= reader->pending_ring_lost;
    progress->host_lost -= reader->pending_host_lost;
    progress->suspended -= reader->pending_suspended;

    int64_t room = reader->limit - progress->position;
    int64_t ring_lost = smaller(reader->pending_ring_lost, room);
    int64_t host_lost = smaller(reader->pending_host_lost, room - ring_lost);
    int64_t suspended = smaller(reader->pending_suspended, room - ring_lost - host_lost);
    ring_lost += smaller(unrecorded, room - ring_lost - host_lost - suspended);
    progress->trailing_ring_lost = ring_lost;
    progress->trailing_host_lost = host_lost;
    progress->trailing_suspended = suspended;
    progress->ring_lost += ring_lost;
    progress->host_lost += host_lost;
    progress->suspended += suspended;
    progress->position += ring_lost + host_lost + suspended;
    progress->finished = true;
}

static void note_fill(sa_reader *reader) {
    sa_ring *packets = &reader->capture->packets;
    uint64_t waiting = sa_ring_available(packets, UINT64_MAX);
    reader->progress.ring_fill = 0;
    if (waiting > 0) {
        const sa_packet *newest = sa_ring_peek(packets, waiting - 1);
        reader->progress.ring_fill = newest->stored_before + newest->frames -
                                     reader->progress.captured - reader->progress.overwritten;
    }
    if (reader->progress.ring_fill > reader->progress.ring_highest) {
        reader->progress.ring_highest = reader->progress.ring_fill;
    }
}

void sa_reader_read(sa_reader *reader) {
    sa_capture *capture = reader->capture;
    SA_CLAIM_ROLE(&capture->consumer_thread, "consumer");
    if (reader->progress.finished) {
        return;
    }
    /* Pairs with the release in sa_capture_finish: read before the packet index, so that
     * "finished" and "no packet" together mean the end. */
    bool finished = atomic_load_explicit(&capture->finished, memory_order_acquire);
    note_fill(reader);
    while (sa_ring_available(&capture->packets, 1) > 0) {
        const sa_packet *packet = sa_ring_peek(&capture->packets, 0);
        if (!reader->packet_judged && !judge(reader, packet, finished)) {
            return;
        }
        bool taken = take(reader, packet);
        sa_ring_release(&capture->frames);
        if (!taken) {
            int64_t waiting = reader->progress.ring_fill;
            reader->progress.waiting = waiting > 1 ? waiting : 1;
            return;
        }
        if (reader->packet_position + packet->frames >= reader->limit) {
            finish(reader);
            return;
        }
        sa_ring_skip(&capture->packets, 1);
        sa_ring_release(&capture->packets);
        reader->packet_judged = false;
    }
    if (finished) {
        finish(reader);
    }
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
    int64_t have = reader->chunk_open ? open_row((sa_reader *)reader)[SA_CHUNK_FRAMES] : 0;
    int64_t loop_frame = reader->timeline.loop_frame;
    int64_t wanted = reader->chunk_frames * reader->chunks_at_once;
    int64_t missing = smaller(wanted - have, reader->limit - loop_frame);
    int64_t end = loop_frame + (missing + period - 1) / period * period;
    int64_t due = sa_pace_due(&reader->pace, end, reader->timeline.frame_ns);
    int64_t lead = LEAD_NS + sleeps_late_ns;
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
        if (unread(readers[i])) {
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
    } while (sa_clock_now(clock) < until);
    return false;
}

/* Takes in all that is ready; true if the caller should have it. `due`: when this look was due. */
static bool look(sa_reader *const *readers, size_t count, const sa_clock *clock, int64_t due) {
    bool ready = false;
    int64_t now = sa_clock_now(clock);
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

static void ring(const int *bells, size_t count) {
    const uint64_t once = 1;
    for (size_t i = 0; i < count; i++) {
        /* It fails only where it has been rung 2**64 - 2 times already. */
        ssize_t written = write(bells[i], &once, sizeof once);
        (void)written;
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

bool sa_wait_and_read(sa_reader *const *readers, size_t count, sa_sleeper *sleeper,
                      int64_t deadline_ns, const int *bells, size_t bell_count) {
    ring(bells, bell_count);
    const sa_clock *clock = sa_sleeper_clock(sleeper);
    int64_t due = SA_NEVER; /* the caller was busy: nobody knows when it was to be back */
    int64_t may_watch_ns = clock->is_virtual ? 0 : WATCH_NS;
    bool woken = false;
    for (;;) {
        bool ready = look(readers, count, clock, due);
        int64_t now = sa_clock_now(clock);
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
    return woken;
}

void sa_read_more(sa_reader *const *readers, size_t count, const sa_sleeper *sleeper) {
    if (any_unread(readers, count)) {
        look(readers, count, sa_sleeper_clock(sleeper), SA_NEVER);
        give_up_roles(readers, count);
    }
}
