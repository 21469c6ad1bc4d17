"""The callback's cost, as far as it can be counted: a system call a chunk, few instructions."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

MOST_INSTRUCTIONS = 250
"""Of one push without its copying: 157 as gcc 12 translates it. Room for other compilers."""


@pytest.fixture(scope="module")
def callback():
    """Return the benchmark, which knows how to count."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("callback", BENCHMARKS / "callback.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def program(callback, tmp_path_factory):
    return callback.build(tmp_path_factory.mktemp("callback"))


def test_a_push_makes_no_system_call_while_nobody_sleeps_by_the_bell(callback, program, tmp_path):
    assert callback.system_calls(program, tmp_path, "push", callback.COUNTED) == {}


def test_a_sleeper_is_woken_once_a_chunk_and_not_for_each_packet(callback, program, tmp_path):
    calls = callback.system_calls(program, tmp_path, "rung", callback.RUNG)
    assert calls == {"futex": callback.RUNG}


def test_a_push_stays_within_its_instructions(callback, program, tmp_path):
    all_of_it, copying = callback.count_instructions(program, tmp_path)
    assert copying > 0
    assert all_of_it - copying <= MOST_INSTRUCTIONS
