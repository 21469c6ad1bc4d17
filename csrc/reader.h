/* The reader: the consumer's side of one capture. It cuts frames into chunks, in one pass with
 * their levels, gaps and times, into memory that the caller lends. All calls for a reader come
 * from one thread at a time.
 */
#ifndef SA_READER_H
#define SA_READER_H

#include "capture.h"
#include "gaps.h"
#include "histogram.h"
#include "pace.h"
#include "timeline.h"

/* One chunk, a row of int64 columns (so that Python gets all rows of a turn in one go). */
enum {
    SA_CHUNK_FRAME,      /* position of the first frame, every loss counted in */
    SA_CHUNK_FRAMES,     /* never 0 */
    SA_CHUNK_OFFSET,     /* of its first frame in the lent block, in frames */
    SA_CHUNK_TIME_NS,    /* filtered capture time of the first frame */
    SA_CHUNK_ARRIVAL_NS, /* entry time of the callback that brought the last frame */
    SA_CHUNK_RING_LOST,  /* frames before it that did not fit into the ring */
    SA_CHUNK_HOST_LOST,  /* frames before it (after those) that the host lost */
    SA_CHUNK_SUSPENDED,  /* frames before it (after those) missed while all stood still here */
    SA_CHUNK_OVERFLOWS,  /* packets in it that carried the host's overflow flag */
    SA_CHUNK_MARKS,      /* of those below */
    SA_CHUNK_ASLEEP_NS, /* how long the machine had slept by its first frame: sa_clock_suspended */
    SA_CHUNK_COLUMNS
};

/* When a frame was captured, at places that do not depend on where chunks end: every
 * `stamp_frames` from the second on, and after each loss; at least one by the end. What steers by
 * these does the same however long the chunks are. */
enum {
    SA_STAMP_FRAME,     /* position */
    SA_STAMP_TIME_NS,   /* its filtered capture time, as its packet told it */
    SA_STAMP_ASLEEP_NS, /* how long the machine had slept by then */
    SA_STAMP_COLUMNS
};

/* What is worth a second look at a chunk's samples. */
enum {
    SA_MARK_NONFINITE = 1, /* one of them is no finite number */
    SA_MARK_SILENT = 2,    /* a channel is exactly zero */
    SA_MARK_LOUD = 4,      /* one of them is at full scale, or beyond it */
    SA_MARK_IDLE = 8,      /* none of them was captured: the output slept (idle.h) */
};

/* What a converter of 16 bits delivers at most; those of more bits reach it too. */
#define SA_FULL_SCALE (32767.0 / 32768.0)

/* Memory for chunks. The reader never writes where a finished chunk stands. */
typedef struct {
    float *frames;   /* capacity_frames interleaved frames */
    int64_t *rows;   /* capacity_rows x SA_CHUNK_COLUMNS */
    float *peaks;    /* capacity_rows x channels */
    double *squares; /* capacity_rows x channels */
    int64_t capacity_frames;
    int64_t capacity_rows;
    int64_t *stamps; /* capacity_stamps x SA_STAMP_COLUMNS; what does not fit is left out */
    int64_t capacity_stamps;
} sa_block;

/* What the reader knows after a read; the caller reads it between calls. */
typedef struct {
    int64_t rows;        /* finished chunks in the lent block */
    int64_t stamps;      /* in the lent block */
    int64_t waiting;     /* frames in the ring that await a new block; 0: block not full */
    bool finished;       /* all that was pushed has been read, the last short chunk too */
    int64_t captured;    /* frames read so far */
    int64_t overwritten; /* frames in the ring that were not those of their packet, so far; they
                          * are lost by the host */
    int64_t ring_lost;   /* frames known not to have fitted, so far */
    int64_t host_lost;   /* frames known to have been lost by the host, so far */
    int64_t suspended;   /* frames known to have been missed while all stood still, so far */
    int64_t trailing_ring_lost; /* of those, after the last chunk; known when finished */
    int64_t trailing_host_lost;
    int64_t trailing_suspended;
    int64_t unexplained;   /* frames by which it is behind its clock, without a gap; or ahead */
    int64_t position;      /* end of the last packet, every loss counted in */
    int64_t overflows;     /* packets with the host's overflow flag, so far */
    int64_t packets;       /* packets read so far */
    int64_t ring_fill;     /* frames in the ring when the last read began */
    int64_t ring_highest;  /* the most there ever were */
    int64_t last_entry_ns; /* when the last packet's callback was entered; 0: none yet */
    int64_t longest_callback_ns;
} sa_progress;

typedef struct {
    sa_capture *capture;
    int64_t chunk_frames;
    int64_t limit;          /* the position at which the reader ends, whatever follows; set before
                             * the first read */
    bool freewheel;         /* the source is not paced by the clock: never predict, look often */
    int64_t chunks_at_once; /* a wait that nothing else ends is for so many; at least 1. The
                             * caller may change it between calls */

    sa_gaps gaps;
    sa_timeline timeline;
    sa_block block;
    sa_progress progress;

    int64_t stamp_frames;  /* set before the first read; 0: no stamps are wanted */
    int64_t next_stamp;    /* the position of the next one, unless frames are lost before it */
    int64_t stamped_to;    /* the end of the frames that were looked at for stamps */
    bool stamped;          /* there was one */
    int64_t last_time_ns;  /* of the last chunk that was opened */
    int64_t used_frames;   /* of the block */
    bool chunk_open;       /* row progress.rows is being filled */
    bool chunk_idle;       /* and no device captured it */
    bool packet_judged;    /* the first packet in the ring has been judged; its frames follow */
    uint32_t packet_taken; /* frames of it already taken */
    int64_t packet_position;
    int64_t pending_ring_lost; /* losses that the next chunk will tell of */
    int64_t pending_host_lost;
    int64_t pending_suspended;

    sa_pace pace;      /* for the wait */
    bool racing;       /* far more comes than in real time */
    int64_t looked_ns; /* when it last looked, and how far it was then */
    int64_t looked_position;
    sa_histogram callbacks; /* how long each took, ns */
} sa_reader;

sa_reader *sa_reader_create(sa_capture *capture, int64_t chunk_frames, bool freewheel,
                            int64_t hold_ns);
void sa_reader_destroy(sa_reader *reader);

/* Lends a block in place of the one before, which the reader forgets. An open chunk must not be
 * in the old one: lend only when progress.waiting > 0, or no chunk is open. */
void sa_reader_lend(sa_reader *reader, const sa_block *block);

/* Takes in all that is ready and fits the block. */
void sa_reader_read(sa_reader *reader);

/* Is a finished row a whole chunk, with nothing lost before it, no overflow, finite, and captured?
 */
bool sa_reader_is_regular(const sa_reader *reader, int64_t row);

/* Makes one chunk of finished ones from row `first` on, of `most_frames` at most, that follow one
 * another without a loss, are finite, and have the same channels exactly zero. Returns how many
 * there are then, which stand in `first` and the rows after it. */
int64_t sa_reader_join(sa_reader *reader, int64_t first, int64_t most_frames);

/* Frames of the chunk that has been begun. */
int64_t sa_reader_open_frames(const sa_reader *reader);

#endif
