#include "reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "levels.h"
#include "thread_role.h"

/* Frames copied at a time: their levels are found while they are in the first-level cache. */
enum { BITE_BYTES = 8192 };

sa_reader *sa_reader_create(sa_capture *capture, int64_t chunk_frames, bool freewheel,
                            int64_t hold_ns) {
    SA_CHECK(chunk_frames > 0);
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
    SA_CHECK(!reader->chunk_open || reader->progress.waiting > 0);
    SA_CHECK(block->capacity_frames >= reader->chunk_frames && block->capacity_rows > 0);
    reader->block = *block;
    reader->used_frames = 0;
    reader->progress.rows = 0;
    reader->progress.stamps = 0;
    reader->progress.waiting = 0;
}

static int64_t *open_row(sa_reader *reader) {
    return reader->block.rows + reader->progress.rows * SA_CHUNK_COLUMNS;
}

int64_t sa_reader_open_frames(const sa_reader *reader) {
    const int64_t *row = reader->block.rows + reader->progress.rows * SA_CHUNK_COLUMNS;
    return reader->chunk_open ? row[SA_CHUNK_FRAMES] : 0;
}

/* The loop may set its clock back a little; a later frame is later all the same. */
static void set_time(sa_reader *reader, int64_t *row) {
    int64_t time_ns = sa_timeline_time_of(&reader->timeline, (double)row[SA_CHUNK_FRAME]);
    reader->last_time_ns = time_ns > reader->last_time_ns ? time_ns : reader->last_time_ns + 1;
    row[SA_CHUNK_TIME_NS] = reader->last_time_ns;
}

/* What the levels of the open chunk tell. */
static int64_t marks(const sa_reader *reader) {
    uint32_t channels = reader->capture->channels;
    const double *squares = reader->block.squares + reader->progress.rows * channels;
    const float *peaks = reader->block.peaks + reader->progress.rows * channels;
    int64_t found = reader->chunk_idle ? SA_MARK_IDLE : 0;
    for (uint32_t channel = 0; channel < channels; channel++) {
        double energy = squares[channel];
        found |= isfinite(energy) ? 0 : SA_MARK_NONFINITE;
        found |= energy == 0 ? SA_MARK_SILENT : 0;
        found |= peaks[channel] >= SA_FULL_SCALE ? SA_MARK_LOUD : 0;
    }
    return found;
}

static void close_chunk(sa_reader *reader) {
    if (reader->chunk_open) {
        int64_t *row = open_row(reader);
        row[SA_CHUNK_MARKS] = marks(reader);
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
    uint32_t channels = reader->capture->channels;
    int64_t levels = reader->progress.rows * channels;
    memset(reader->block.peaks + levels, 0, channels * sizeof *reader->block.peaks);
    memset(reader->block.squares + levels, 0, channels * sizeof *reader->block.squares);
    row[SA_CHUNK_FRAME] = position;
    row[SA_CHUNK_FRAMES] = 0;
    row[SA_CHUNK_OFFSET] = reader->used_frames;
    set_time(reader, row);
    row[SA_CHUNK_RING_LOST] = reader->pending_ring_lost;
    row[SA_CHUNK_HOST_LOST] = reader->pending_host_lost;
    row[SA_CHUNK_SUSPENDED] = reader->pending_suspended;
    row[SA_CHUNK_OVERFLOWS] = 0;
    row[SA_CHUNK_ASLEEP_NS] = reader->gaps.asleep_ns;
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
    bool idle = packet->flags & SA_PACKET_IDLE;
    if (idle != reader->chunk_idle) {
        close_chunk(reader); /* a chunk is all captured, or none of it */
        reader->chunk_idle = idle;
    }
    if (packet->lost_before > 0 || verdict.lost > 0) {
        close_chunk(reader); /* a chunk is contiguous */
        int64_t left_out = reader->capture->counted_by_host ? 0 : packet->left_out;
        int64_t not_fitted = packet->lost_before - left_out;
        bool host_slept = packet->flags & SA_PACKET_SUSPENDED;
        bool counts_sleep = host_slept && reader->capture->counted_by_host;
        int64_t suspended =
            (verdict.suspended || counts_sleep ? verdict.lost : 0) + (host_slept ? left_out : 0);
        int64_t host_lost = verdict.lost + left_out - suspended;
        reader->pending_ring_lost += not_fitted;
        reader->pending_host_lost += host_lost;
        reader->pending_suspended += suspended;
        progress->ring_lost += not_fitted;
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

/* Has as many frames again fetched, and the memory that they go to, while the levels of these are
 * found: they were written on another core, and waiting for them is most of what a read takes. But
 * not what the audio thread has yet to write, which would then have to take it away again. */
static void fetch_ahead(const sa_reader *reader, const float *samples, int64_t count) {
    if (sa_ring_available(&reader->capture->packets, 2) < 2) {
        return;
    }
    const sa_ring *ring = &reader->capture->frames;
    const unsigned char *from = ring->memory + ring->read_slot * ring->frame_bytes;
    const unsigned char *to = (const unsigned char *)(samples + count * reader->capture->channels);
    bool in_ring = ring->read_slot + (uint64_t)count <= ring->capacity;
    bool in_block = reader->used_frames + 2 * count <= reader->block.capacity_frames;
    size_t bytes = in_ring && in_block ? (size_t)count * ring->frame_bytes : 0;
    for (size_t at = 0; at < bytes; at += SA_CACHE_LINE) {
        __builtin_prefetch(from + at);
        __builtin_prefetch(to + at, 1);
    }
}

static void put_stamp(sa_reader *reader, int64_t position) {
    sa_progress *progress = &reader->progress;
    if (progress->stamps < reader->block.capacity_stamps) {
        int64_t *stamp = reader->block.stamps + progress->stamps * SA_STAMP_COLUMNS;
        stamp[SA_STAMP_FRAME] = position;
        stamp[SA_STAMP_TIME_NS] = sa_timeline_time_of(&reader->timeline, (double)position);
        stamp[SA_STAMP_ASLEEP_NS] = reader->gaps.asleep_ns;
        progress->stamps++;
        reader->stamped = true;
    }
}

/* Stamps those of the frames from `position` on that are to have one. */
static void stamp(sa_reader *reader, int64_t position, int64_t count) {
    int64_t every = reader->stamp_frames;
    if (every == 0) {
        return;
    }
    if (position != reader->stamped_to) {
        put_stamp(reader, position);
        reader->next_stamp = (position / every + 1) * every;
    } else if (reader->next_stamp == 0) {
        reader->next_stamp = 4 * every; /* the first packets alone tell little */
    }
    for (; reader->next_stamp < position + count; reader->next_stamp += every) {
        put_stamp(reader, reader->next_stamp);
    }
    reader->stamped_to = position + count;
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
        fetch_ahead(reader, samples, count);
        int64_t levels = reader->progress.rows * channels;
        sa_levels_add(samples, count, channels, reader->block.peaks + levels,
                      reader->block.squares + levels);

        stamp(reader, reader->packet_position + reader->packet_taken, count);
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
    if (reader->stamp_frames > 0 && !reader->stamped) {
        put_stamp(reader, 0);
    }
    sa_capture_counts counts = sa_capture_count(reader->capture);
    progress->ring_lost -= reader->pending_ring_lost;
    progress->host_lost -= reader->pending_host_lost;
    progress->suspended -= reader->pending_suspended;

    int64_t room = reader->limit - progress->position;
    int64_t ring_lost = smaller(reader->pending_ring_lost, room);
    int64_t host_lost =
        smaller(reader->pending_host_lost + counts.unrecorded_holes, room - ring_lost);
    int64_t suspended = smaller(reader->pending_suspended, room - ring_lost - host_lost);
    ring_lost += smaller(counts.unrecorded_loss, room - ring_lost - host_lost - suspended);
    progress->trailing_ring_lost = ring_lost;
    progress->trailing_host_lost = host_lost;
    progress->trailing_suspended = suspended;
    progress->ring_lost += ring_lost;
    progress->host_lost += host_lost;
    progress->suspended += suspended;
    progress->position += ring_lost + host_lost + suspended;
    progress->finished = true;
}

bool sa_reader_is_regular(const sa_reader *reader, int64_t row) {
    const int64_t *column = reader->block.rows + row * SA_CHUNK_COLUMNS;
    int64_t to_tell = column[SA_CHUNK_RING_LOST] | column[SA_CHUNK_HOST_LOST] |
                      column[SA_CHUNK_SUSPENDED] | column[SA_CHUNK_OVERFLOWS] |
                      (column[SA_CHUNK_MARKS] & (SA_MARK_NONFINITE | SA_MARK_IDLE));
    return to_tell == 0 && column[SA_CHUNK_FRAMES] == reader->chunk_frames;
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
    SA_CHECK(reader->block.frames != NULL);
    if (reader->progress.finished) {
        return;
    }
    /* Pairs with the release in sa_capture_finish: read before the packet index, so that
     * "finished" and "no packet" together mean the end. */
    bool finished = atomic_load_explicit(&capture->finished, memory_order_acquire);
    note_fill(reader);
    int64_t before = reader->progress.captured;
    while (sa_ring_available(&capture->packets, 1) > 0) {
        const sa_packet *packet = sa_ring_peek(&capture->packets, 0);
        if (!reader->packet_judged && !judge(reader, packet, finished)) {
            return;
        }
        bool taken = take(reader, packet);
        sa_ring_release(&capture->frames);
        if (!taken) {
            int64_t left = reader->progress.ring_fill - (reader->progress.captured - before);
            reader->progress.waiting = left > 1 ? left : 1;
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
