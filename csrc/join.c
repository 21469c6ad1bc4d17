/* What gathered becomes fewer, longer chunks: finished rows of a reader's block are joined.
 *
 * They are joined afterwards rather than cut longer, so that losses, silence, samples that are not
 * finite, pauses and sinks that come later find chunks of the usual length. */
#include <string.h>

#include "check.h"
#include "reader.h"

/* Whether the same channels are exactly zero in both. */
static bool as_silent(const double *squares, const double *others, uint32_t channels) {
    for (uint32_t channel = 0; channel < channels; channel++) {
        if ((squares[channel] == 0) != (others[channel] == 0)) {
            return false;
        }
    }
    return true;
}

/* Whether nothing was lost between two rows, and a watch would find the same in both as one: how
 * long a silence is, and what to clean. */
static bool may_join(const sa_reader *reader, int64_t index, int64_t next, int64_t most_frames) {
    uint32_t channels = reader->capture->channels;
    const double *squares = reader->block.squares;
    const int64_t *row = reader->block.rows + index * SA_CHUNK_COLUMNS;
    const int64_t *added = reader->block.rows + next * SA_CHUNK_COLUMNS;
    return added[SA_CHUNK_FRAME] == row[SA_CHUNK_FRAME] + row[SA_CHUNK_FRAMES] &&
           row[SA_CHUNK_FRAMES] + added[SA_CHUNK_FRAMES] <= most_frames &&
           !((added[SA_CHUNK_MARKS] ^ row[SA_CHUNK_MARKS]) & SA_MARK_IDLE) &&
           !((added[SA_CHUNK_MARKS] | row[SA_CHUNK_MARKS]) & SA_MARK_NONFINITE) &&
           as_silent(squares + index * channels, squares + next * channels, channels);
}

int64_t sa_reader_join(sa_reader *reader, int64_t first, int64_t most_frames) {
    SA_CHECK(first >= 0 && first < reader->progress.rows);
    const sa_block *block = &reader->block;
    uint32_t channels = reader->capture->channels;
    int64_t last = first; /* the row that is being joined to */
    for (int64_t next = first + 1; next < reader->progress.rows; next++) {
        int64_t *row = block->rows + last * SA_CHUNK_COLUMNS;
        const int64_t *added = block->rows + next * SA_CHUNK_COLUMNS;
        bool join = may_join(reader, last, next, most_frames);
        if (join) {
            row[SA_CHUNK_FRAMES] += added[SA_CHUNK_FRAMES];
            row[SA_CHUNK_ARRIVAL_NS] = added[SA_CHUNK_ARRIVAL_NS];
            row[SA_CHUNK_OVERFLOWS] += added[SA_CHUNK_OVERFLOWS];
            row[SA_CHUNK_MARKS] |= added[SA_CHUNK_MARKS];
        } else {
            last++;
            memmove(block->rows + last * SA_CHUNK_COLUMNS, added,
                    SA_CHUNK_COLUMNS * sizeof *added);
        }
        for (uint32_t channel = 0; channel < channels; channel++) {
            float peak = block->peaks[next * channels + channel];
            double squares = block->squares[next * channels + channel];
            float *joined_peak = block->peaks + last * channels + channel;
            double *joined_squares = block->squares + last * channels + channel;
            *joined_peak = join && *joined_peak > peak ? *joined_peak : peak;
            *joined_squares = join ? *joined_squares + squares : squares;
        }
    }
    return last + 1 - first;
}
