/* What ring.c asks of every queue: blocks of one size, in and out, one thread on either side. All
 * stand behind the same pointers, so that none is inlined into the loop that measures it. */
#ifndef QUEUES_H
#define QUEUES_H

#include <stdbool.h>
#include <stddef.h>

enum { BLOCK_BYTES = 2048 }; /* 256 frames of stereo float32: one callback's */

typedef struct {
    const char *name;
    void *(*create)(size_t blocks); /* with room for at least so many */
    void (*destroy)(void *queue);
    bool (*push)(void *queue, const void *block); /* false: full */
    bool (*pop)(void *queue, void *block);        /* false: empty */
} queue_kind;

#ifdef __cplusplus
extern "C" {
#endif
extern const queue_kind boost_queue;
extern const queue_kind moodycamel_queue;
#ifdef __cplusplus
}
#endif

#endif
