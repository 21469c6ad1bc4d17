// The two queues that are C++ templates, with whole blocks as their elements: their quickest way.
#include "queues.h"

#include <boost/lockfree/spsc_queue.hpp>
#include <readerwriterqueue/readerwriterqueue.h>

namespace {

struct block {
    unsigned char bytes[BLOCK_BYTES];
};

const block &as_block(const void *bytes) {
    return *static_cast<const block *>(bytes);
}

using boost_ring = boost::lockfree::spsc_queue<block>;
using moodycamel_ring = moodycamel::ReaderWriterQueue<block>;

} // namespace

extern "C" {

const queue_kind boost_queue = {
    "boost::lockfree::spsc_queue",
    [](size_t blocks) -> void * { return new boost_ring(blocks); },
    [](void *queue) { delete static_cast<boost_ring *>(queue); },
    [](void *queue, const void *bytes) {
        return static_cast<boost_ring *>(queue)->push(as_block(bytes));
    },
    [](void *queue, void *bytes) {
        return static_cast<boost_ring *>(queue)->pop(*static_cast<block *>(bytes));
    },
};

const queue_kind moodycamel_queue = {
    "moodycamel::ReaderWriterQueue",
    [](size_t blocks) -> void * { return new moodycamel_ring(blocks); },
    [](void *queue) { delete static_cast<moodycamel_ring *>(queue); },
    [](void *queue, const void *bytes) {
        return static_cast<moodycamel_ring *>(queue)->try_enqueue(as_block(bytes));
    },
    [](void *queue, void *bytes) {
        return static_cast<moodycamel_ring *>(queue)->try_dequeue(*static_cast<block *>(bytes));
    },
};
}
