"""The callback sink: a function on a worker thread."""

import pytest

from stream_audio import CallbackSink, ConfigTypeError, Sink


def test_the_function_gets_the_chunk():
    got = []
    CallbackSink(got.append).write("a chunk")
    assert got == ["a chunk"]


def test_what_the_function_returns_is_ignored():
    assert CallbackSink(lambda chunk: ("no", "gaps")).write("a chunk") is None


def test_what_the_function_raises_goes_to_the_delivery():
    def broken(chunk):
        raise ZeroDivisionError(chunk)

    with pytest.raises(ZeroDivisionError, match="a chunk"):
        CallbackSink(broken).write("a chunk")


def test_it_is_a_sink_that_may_block():
    sink = CallbackSink(print)
    assert isinstance(sink, Sink)
    assert getattr(sink, "blocking", True)


@pytest.mark.parametrize("function", [None, 3, "print"])
def test_only_a_function_will_do(function):
    with pytest.raises(ConfigTypeError, match="takes a function") as caught:
        CallbackSink(function)
    assert repr(function) in str(caught.value)


def test_repr_names_the_function():
    assert repr(CallbackSink(test_repr_names_the_function)) == (
        "CallbackSink(test_repr_names_the_function)"
    )
