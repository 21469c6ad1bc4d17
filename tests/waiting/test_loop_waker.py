"""One call into an event loop for all that became ready."""

from stream_audio.waiting.loop_waker import LoopWaker


def test_while_a_loop_is_blocked_one_call_waits_for_it_however_much_comes():
    class Blocked:
        def __init__(self):
            self.calls = []

        def call_soon_threadsafe(self, call):
            self.calls.append(call)

    class One:
        woken = False
        times = 0

        def on_loop(self):
            self.woken = False
            self.times += 1

    loop, ones = Blocked(), [One() for _ in range(10)]
    waker = LoopWaker(loop)
    for round in range(1, 4):
        for _ in range(4000):
            for one in ones:
                waker.wake(one)
        assert len(loop.calls) == round
        loop.calls[-1]()
        assert [one.times for one in ones] == [round] * 10
