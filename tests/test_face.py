"""What is public looks the same wherever one meets it: in `dir`, in pickles, in docstrings."""

import ast
import builtins
import doctest
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stream_audio
from stream_audio import (
    AudioChunk,
    AudioFormat,
    AudioSource,
    Backlog,
    CallbackSink,
    Gap,
    GapCause,
    GapDetected,
    SinkError,
    StreamAudio,
    StreamConfig,
    StreamEvent,
)
from stream_audio.testing import Fault, VirtualClock

PUBLIC = {name: getattr(stream_audio, name) for name in (*stream_audio.__all__, "open")}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
PACKAGE = Path(stream_audio.__file__).parent


# ---- names ----


def test_a_star_import_hides_nothing_that_python_has():
    names = subprocess.run(
        [sys.executable, "-c", "from stream_audio import *\nprint(*globals())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "FileSink" in names
    assert "record" in names
    assert not {name for name in names if not name.startswith("__")} & set(dir(builtins))
    assert callable(stream_audio.open)


def test_dir_lists_what_is_public_and_no_more():
    code = "import stream_audio; print(*dir(stream_audio))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed = {name for name in done.stdout.split() if not name.startswith("__")}
    assert listed == {*PUBLIC, "testing"}


@pytest.mark.parametrize("name", PUBLIC)
def test_each_says_that_it_lives_in_stream_audio(name):
    value = PUBLIC[name]
    assert value.__module__ == "stream_audio"
    if inspect.isclass(value):
        assert repr(value) in (f"<class 'stream_audio.{name}'>", f"<enum '{name}'>")


def test_a_class_that_is_loaded_by_its_module_says_so_too():
    """Before anybody asked the package for it: an engine's chunk may be pickled at once."""
    code = "from stream_audio.audio.chunk import AudioChunk; print(AudioChunk.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "stream_audio"


# ---- pickles ----


def session_of_everything():
    """Return chunks, events, and the report of a session with a gap and a failure."""
    chunks, events = [], []

    def broken(chunk):
        raise SinkError("on purpose", retryable=False)

    source = AudioSource.virtual("sine", frames=48_000, faults=[Fault.lose(9600, 2)])
    builder = StreamAudio.builder().add_source("mic", source).on_event(events.append)
    builder.add_sink(CallbackSink(chunks.append)).add_sink(CallbackSink(broken))
    config = StreamConfig(clock=VirtualClock(), raise_on_sink_failure=False)
    with builder.config(config).start() as session:
        session.wait()
    return chunks, events, session.report()


def modules_in(pickled: bytes) -> set[str]:
    """Return the modules that a pickle of protocol 0 looks into."""
    return {
        line[1:].split()[0] for line in pickled.decode("latin-1").split("\n") if line[:1] == "c"
    }


def test_chunks_events_and_reports_pickle_under_their_public_names():
    chunks, events, report = session_of_everything()
    assert any(isinstance(event, GapDetected) for event in events)
    gone = [event for event in events if hasattr(event, "error")]
    for value in (*chunks, *events, report, AudioFormat(16_000), Backlog("1 s")):
        again = pickle.loads(pickle.dumps(value))
        assert type(again) is type(value)
        if isinstance(value, AudioChunk):
            assert np.array_equal(again.data, value.data)
            assert not again.data.flags.writeable
            for name in ("frame", "time", "timestamp", "wall_time", "gaps", "source_rate"):
                assert getattr(again, name) == getattr(value, name)
        elif isinstance(value, StreamEvent):
            assert again.wall_time == value.wall_time
            assert value in gone or again == value
        else:
            assert again == value
        own = {each for each in modules_in(pickle.dumps(value, 0)) if "stream_audio" in each}
        assert own <= {"stream_audio"}, value
    assert gone


def test_errors_pickle_with_all_that_they_say():
    error = SinkError("it failed", retryable=False, taken=3, host_text="no", hint="Do it")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.retryable, again.taken) == (str(error), False, 3)


def test_a_pickle_is_read_by_a_process_that_has_loaded_nothing():
    gap = Gap("mic", 0, 10, GapCause.RING_FULL, 1.0)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(gap), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == repr(gap)


# ---- doctests: pytest looks for them by module, and these say another ----


def examples():
    finder = doctest.DocTestFinder(recurse=True)
    for name, value in PUBLIC.items():
        for test in finder.find(value, name, module=False, globs={}):
            if test.examples:
                yield pytest.param(test, id=test.name)


def test_the_doctests_are_as_many_as_the_source_has():
    """None is missed because of what its class or function says of its module."""
    found = {each.values[0].name.split(".")[0] for each in examples()}
    written = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name in PUBLIC:
                parts = [node, *(each for each in ast.walk(node) if hasattr(each, "body"))]
                texts = [
                    ast.get_docstring(each) or ""
                    for each in parts
                    if isinstance(each, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
                ]
                if any(">>> " in text for text in texts):
                    written.add(node.name)
    assert found == written
    assert len(found) > 3


@pytest.mark.parametrize("test", list(examples()))
def test_each_doctest_of_what_is_public_runs(test):
    result = doctest.DocTestRunner().run(test)
    assert result.failed == 0


# ---- documentation ----


def documented(cls: type) -> str:
    """Return all that the docstrings of a class and of its bases say."""
    return "\n".join(each.__doc__ or "" for each in cls.__mro__)


def attributes_in_source(cls: type) -> dict[str, bool]:
    """Return each attribute of a class's body or ``__init__``; whether a docstring follows it."""
    found = {}
    source = next(
        node
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    bodies = [source.body]
    bodies += [
        method.body
        for method in source.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
    ]
    for body in bodies:
        for statement, after in zip(body, [*body[1:], None], strict=True):
            targets = (
                statement.targets
                if isinstance(statement, ast.Assign)
                else [statement.target]
                if isinstance(statement, ast.AnnAssign)
                else []
            )
            for target in targets:
                has_docstring = isinstance(after, ast.Expr)
                if isinstance(target, ast.Name) and body is source.body:
                    found[target.id] = has_docstring
                elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                    found[target.attr] = has_docstring
    return {name: told for name, told in found.items() if not name.startswith("_")}


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_attribute_is_documented(name):
    cls = CLASSES[name]
    text = documented(cls)
    missing = []
    in_source = attributes_in_source(cls)
    for attribute, value in inspect.getmembers(cls):
        if attribute.startswith("_") or (isinstance(value, (int, str)) and issubclass(cls, str)):
            continue
        if issubclass(cls, (Exception, str)) and hasattr(Exception, attribute):
            continue
        own = inspect.getdoc(value) if callable(value) or isinstance(value, property) else None
        if not own and not in_source.get(attribute) and not re.search(rf"\b{attribute}\b", text):
            missing.append(attribute)
    fields = getattr(cls, "__dataclass_fields__", {})
    missing += [each for each in fields if not each.startswith("_") and each not in text]
    for attribute, has_docstring in in_source.items():
        if callable(getattr(cls, attribute, None)):
            continue  # another name of a method
        if not has_docstring and not re.search(rf"\b{attribute}\b", text):
            missing.append(attribute)
    assert missing == []
