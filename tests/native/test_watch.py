"""A wait watches until a yield tells that others want the core; then it is rung for a while."""

import pytest

from stream_audio._native import ffi, lib


@pytest.fixture
def watch():
    return ffi.new("sa_watch *")


def test_it_watches_to_begin_with(watch):
    assert lib.sa_watch_is_on(watch)


def test_a_yield_of_the_usual_length_changes_nothing(watch):
    lib.sa_watch_note_yield(watch, lib.SA_LONG_YIELD_NS)
    assert lib.sa_watch_is_on(watch)


def test_a_long_yield_ends_the_watch_for_so_many_waits(watch):
    lib.sa_watch_note_yield(watch, lib.SA_LONG_YIELD_NS + 1)
    for _ in range(lib.SA_RUNG_WAITS):
        assert not lib.sa_watch_is_on(watch)
        lib.sa_watch_note_audio(watch)
    assert lib.sa_watch_is_on(watch)


def test_another_long_yield_begins_the_count_anew(watch):
    lib.sa_watch_note_yield(watch, lib.SA_LONG_YIELD_NS + 1)
    lib.sa_watch_note_audio(watch)
    lib.sa_watch_note_yield(watch, lib.SA_LONG_YIELD_NS + 1)
    assert watch.rung_waits == lib.SA_RUNG_WAITS


def test_audio_that_was_watched_for_counts_for_nothing(watch):
    lib.sa_watch_note_audio(watch)
    assert watch.rung_waits == 0
