"""The C core's own tests: small programs, each named after the promise it holds the core to.

Each is built and run plain, under ThreadSanitizer, and under AddressSanitizer with
UndefinedBehaviorSanitizer. Bugs planted in a copy of the core show that the programs do find them.
A missing compiler or sanitizer fails: a promise that nobody checks is none.
"""

import functools
import importlib
import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"

CAPTURE = (
    *("adc", "capture", "clock", "doorbell", "drift", "gaps", "lateness", "levels"),
    *(
        "overwritten",
        "platform_posix",
        "join",
        "reader",
        "realtime",
        "ring",
        "standstill",
        "timeline",
        "wait",
    ),
)
PROGRAMS = {  # and what of the core each needs
    "ring_hammer": ("clock", "doorbell", "platform_posix", "ring"),
    "any_host": CAPTURE,
    "any_packets": CAPTURE,
    "jack_cycle": CAPTURE,
    "capture_hammer": CAPTURE,
    "fork_in_the_middle": CAPTURE,
    "doorbell": CAPTURE,
    "virtual_clock": ("clock", "doorbell", "platform_posix"),
    "preconditions": (*CAPTURE, "channels", "samples"),
    "thread_roles": CAPTURE,
}
# What callers are trusted with is checked while a sanitizer looks for what comes of it.
CHECKED = {"thread": ["-DSA_CHECKS"], "address": ["-DSA_CHECKS"]}
ONLY_CHECKED = {"preconditions": ["-DSA_CHECKS"], "thread_roles": ["-DSA_CHECKS"]}

SANITIZERS = {
    "plain": [],
    "thread": ["-fsanitize=thread"],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}
# A race must end the program at once: a loop that waits for the other thread might not end.
OPTIONS = {"TSAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}

STANDARD = ["-std=gnu11", "-fPIC", "-fvisibility=hidden"]  # as CMakeLists.txt has it
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]

# All that realtime.h lets an audio thread call; the last name is the linker's own.
REALTIME_CALLS = {"memcpy", "memset", "clock_gettime", "sa_word_wake", "_GLOBAL_OFFSET_TABLE_"}

HINTS = {  # a word of the compiler's complaint: the Debian package that helps
    "tsan": "gcc (its libtsan comes with it; for clang: libclang-rt-dev)",
    "asan": "gcc (its libasan comes with it; for clang: libclang-rt-dev)",
    "ubsan": "gcc (its libubsan comes with it; for clang: libclang-rt-dev)",
    "stdio.h": "libc6-dev",
}


def command(name, package):
    """Return the words of a command, which must exist."""
    words = shlex.split(name)
    if not words or shutil.which(words[0]) is None:
        pytest.fail(f"{name!r} is not installed; on Debian: apt install {package}")
    return words


def compiler():
    return command(os.environ.get("CC") or "cc", "gcc libc6-dev")


@functools.cache
def without_address_randomization():
    """Return the words before a program: with much randomization TSan finds no room to start."""
    words = ["setarch", platform.machine(), "-R"]
    try:
        allowed = subprocess.run([*words, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    return words if allowed else []


def compile_c(words, csrc=CSRC):
    line = [*words, f"-I{csrc}"]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        hints = [f"on Debian: apt install {HINTS[word]}" for word in HINTS if word in done.stderr]
        pytest.fail("\n".join([shlex.join(line), done.stderr, *hints]), pytrace=False)


@functools.cache
def core_object(source, flags, directory):
    """Return the object of one file of the core; programs that are built alike share it."""
    thing = directory / f"{source}{len(list(directory.iterdir()))}.o"
    compile_c([*compiler(), *flags, "-c", str(CSRC / f"{source}.c"), "-o", str(thing)])
    return thing


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return tmp_path_factory.mktemp("objects")


def build(name, sanitizer, directory, *, objects=None, csrc=CSRC):
    """Build a program, with a core of its own, or with the one in the folder `objects`."""
    program = directory / f"{name}-{sanitizer}"
    flags = [*STANDARD, "-O2", "-g", "-pthread", *SANITIZERS[sanitizer]]
    flags += ONLY_CHECKED.get(name) or CHECKED.get(sanitizer, [])
    if objects is None:
        core = [csrc / f"{source}.c" for source in PROGRAMS[name]]
    else:
        core = [core_object(source, tuple(flags), objects) for source in PROGRAMS[name]]
    files = map(str, [HERE / f"{name}.c", *core])
    compile_c([*compiler(), *flags, *files, "-o", str(program), "-lm"], csrc)
    return program


def run(program):
    return subprocess.run(
        [*without_address_randomization(), str(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | OPTIONS,
    )


def plant(directory, file, right, wrong):
    """Return a copy of the core in which `right` is `wrong`."""
    csrc = directory / "csrc"
    shutil.copytree(CSRC, csrc)
    text = (csrc / file).read_text(encoding="utf-8")
    assert text.count(right) == 1, f"{file} has changed: find the bug's new place"
    (csrc / file).write_text(text.replace(right, wrong), encoding="utf-8")
    return csrc


def each_with_its_sanitizers():
    """Yield what is looked for in each program: races only where there are threads."""
    for name in PROGRAMS:
        has_threads = "pthread_create" in (HERE / f"{name}.c").read_text(encoding="utf-8")
        yield pytest.param(name, "plain", marks=pytest.mark.long)
        yield pytest.param(name, "address")
        if has_threads:
            yield pytest.param(name, "thread")


@pytest.mark.parametrize(("name", "sanitizer"), list(each_with_its_sanitizers()))
def test_program(name, sanitizer, objects, tmp_path):
    done = run(build(name, sanitizer, tmp_path, objects=objects))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1  # what has been verified
    print(done.stdout)


@pytest.mark.parametrize(
    "ordered",
    [
        pytest.param("&ring->read_index, memory_order_acquire", id="space"),
        pytest.param("&ring->write_index, ring->written, memory_order_release", id="publish"),
        pytest.param("&ring->write_index, memory_order_acquire", id="available"),
        pytest.param("&ring->read_index, ring->read, memory_order_release", id="release"),
    ],
)
@pytest.mark.long
def test_the_hammer_finds_a_missing_release_or_acquire(ordered, tmp_path):
    relaxed = ordered.rpartition("memory_order_")[0] + "memory_order_relaxed"
    csrc = plant(tmp_path, "ring.h", ordered, relaxed)
    done = run(build("ring_hammer", "thread", tmp_path, csrc=csrc))
    assert done.returncode != 0
    assert "ThreadSanitizer: data race" in done.stderr


@pytest.mark.parametrize(
    ("name", "file", "right", "wrong"),
    [
        pytest.param(
            "ring_hammer",
            "ring.h",
            "if (space < wanted) {",
            "space += ring->capacity > 1000;\n    if (space < wanted) {",
            id="one frame too many fits",
        ),
        pytest.param(
            "capture_hammer",
            "realtime.c",
            "capture->carried_loss += frames;",
            "capture->carried_loss = frames;",
            id="a second loss hides the first",
        ),
        pytest.param(
            "capture_hammer",
            "realtime.c",
            ".position = capture->position + capture->carried_loss,",
            ".position = capture->position,",
            id="a position leaves losses out",
        ),
        pytest.param(
            "capture_hammer",
            "reader.c",
            "progress->ring_lost += ring_lost;",
            "",
            id="the last loss is forgotten",
        ),
        pytest.param(
            "any_host",
            "reader.c",
            "progress->host_lost += packet->frames;",
            "",
            id="an overwritten period is not counted as lost",
        ),
        pytest.param(
            "any_host",
            "gaps.c",
            "verdict->overwritten ? 0 : packet->frames",
            "packet->frames",
            id="what replaced an overwritten period is taken for a copy of it",
        ),
        pytest.param(
            "any_host",
            "lateness.c",
            "!finished && (double)waited_ns <=",
            "!finished && 0 * (double)waited_ns <=",
            id="a late packet waits for ever",
        ),
        pytest.param(
            "doorbell",
            "realtime.c",
            "capture->position >= wanted &&",
            "capture->position > wanted &&",
            id="the push that completes a chunk does not ring",
        ),
        pytest.param(
            "doorbell",
            "realtime.c",
            "sa_doorbell_ring(atomic_load_explicit(&capture->doorbell, memory_order_relaxed),",
            "(void)(capture->doorbell,",
            id="nobody is rung",
        ),
        pytest.param(
            "jack_cycle",
            "realtime.c",
            "last_frame_time(feed->client) == cycle;",
            "last_frame_time(feed->client) >= cycle;",
            id="a torn period is handed on",
        ),
        pytest.param(
            "fork_in_the_middle",
            "platform_posix.c",
            "madvise(memory, bytes, MADV_DONTFORK);",
            "",
            id="children share the pages",
        ),
        pytest.param(
            "virtual_clock",
            "clock.c",
            "s->until < next->until",
            "s->until <= next->until",
            id="equal deadlines in another order",
        ),
        pytest.param(
            "virtual_clock",
            "clock.c",
            "next->until > clock->limit_ns",
            "next->until >= clock->limit_ns",
            id="a deadline at the limit is not served",
        ),
        pytest.param(
            "thread_roles",
            "thread_role.h",
            "        abort();\n",
            "",
            id="only a message, no abort",
        ),
    ],
)
@pytest.mark.long
def test_a_planted_bug_is_found(name, file, right, wrong, tmp_path):
    csrc = plant(tmp_path, file, right, wrong)
    done = run(build(name, "plain", tmp_path, csrc=csrc))
    assert done.returncode == 1
    assert f"{name}.c:" in done.stderr  # the check that did not hold


def names_called(source, level, directory):
    """Return the names that the object leaves to be found elsewhere."""
    thing = directory / "realtime.o"
    # Hardened distributions add a check of their own after a function: it is none of our calls.
    flags = [*STANDARD, level, "-fno-stack-protector"]
    compile_c([*compiler(), *flags, "-c", str(source), "-o", str(thing)], source.parent)
    listed = subprocess.run(
        [*command("nm", "binutils"), "-u", str(thing)], capture_output=True, text=True, check=True
    )
    return {line.split()[-1] for line in listed.stdout.splitlines()}


def test_the_module_exports_its_entry_and_nothing_else():
    module = importlib.import_module("stream_audio._native._core").__file__
    words = [*command("nm", "binutils"), "-D", "--defined-only", module]
    listed = subprocess.run(words, capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["PyInit__core"]


@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
def test_the_audio_thread_calls_nothing_that_can_block(level, tmp_path):
    assert names_called(CSRC / "realtime.c", level, tmp_path) <= REALTIME_CALLS


def test_a_call_planted_on_the_audio_thread_is_seen(tmp_path):
    loses = "capture->carried_loss += frames;"
    yields = "extern int sched_yield(void);\n    sched_yield();"
    csrc = plant(tmp_path, "realtime.c", loses, f"{loses}\n    {yields}")
    assert names_called(csrc / "realtime.c", "-O2", tmp_path) - REALTIME_CALLS == {"sched_yield"}


def test_no_source_has_a_warning():
    """Of the compiler that is here; scripts/check asks clang too. Some come from the optimizer."""
    flags = [*STANDARD, "-O2", *WARNINGS, "-DSA_CHECKS", "-c", "-o", os.devnull]
    sources = sorted([*CSRC.glob("*.c"), *HERE.glob("*.c")])
    assert len(sources) > len(PROGRAMS)
    for source in sources:
        compile_c([*compiler(), *flags, str(source)])
