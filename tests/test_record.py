"""A record is to its users what a frozen dataclass is; it is only cheaper to define."""

import copy
import dataclasses
import inspect
import pickle
import sys

import pytest

from stream_audio._record import Record


class Point(Record):
    x: int
    y: int = 0


class Named(Point):
    name: str = "here"


class Settings(Record, kw_only=True):
    rate: int
    loop: bool = False


class Checked(Record):
    rate: int

    def __post_init__(self):
        if self.rate < 0:
            raise ValueError("negative")


def as_dataclass(record):
    """Make the dataclass that a record stands for."""
    fields = [
        (name, record._types[name], *([] if name == "x" else [value]))
        for name, value in record._fields.items()
    ]
    return dataclasses.make_dataclass(record.__name__, fields, frozen=True)


@pytest.mark.parametrize(
    ("positional", "named"),
    [((1,), {}), ((1, 2), {}), ((), {"x": 1}), ((1,), {"y": 5}), ((), {"y": 2, "x": 1})],
)
def test_it_takes_arguments_as_a_dataclass_does(positional, named):
    record, twin = Point(*positional, **named), as_dataclass(Point)(*positional, **named)
    assert (record.x, record.y) == (twin.x, twin.y)
    assert repr(record) == repr(twin)


@pytest.mark.parametrize(
    ("positional", "named", "words"),
    [
        ((), {}, "missing 'x'"),
        ((1, 2, 3), {}, "takes 2 positional arguments, 3 given"),
        ((1,), {"x": 2}, "multiple values for argument 'x'"),
        ((1,), {"z": 2}, "unexpected keyword argument 'z'"),
    ],
)
def test_wrong_arguments_are_told_by_name(positional, named, words):
    with pytest.raises(TypeError, match=words):
        Point(*positional, **named)
    with pytest.raises(TypeError):
        as_dataclass(Point)(*positional, **named)


def test_fields_that_are_by_name_only():
    assert Settings(rate=8000) == Settings(loop=False, rate=8000)
    with pytest.raises(TypeError, match="takes 0 positional arguments, 1 given"):
        Settings(8000)


def test_a_subclass_adds_its_fields_behind():
    assert list(Named._fields) == ["x", "y", "name"]
    assert Named(1, 2, "there") == Named(1, name="there", y=2)


def test_equal_values_of_the_same_class_are_equal_and_hash_alike():
    assert Point(1) == Point(1, 0)
    assert hash(Point(1)) == hash(Point(1, 0))
    assert Point(1) != Point(2)
    assert Point(1, 0) != Named(1, 0)
    assert Point(1) != (1, 0)


def test_fields_cannot_be_assigned_or_deleted():
    one = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        one.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        del one.x
    assert one == Point(1)


def test_what_is_checked_after_the_fields_are_set_is_checked_by_replace_too():
    with pytest.raises(ValueError, match="negative"):
        Checked(-1)
    with pytest.raises(ValueError, match="negative"):
        dataclasses.replace(Checked(1), rate=-1)


def test_the_functions_for_dataclasses_work():
    one = Named(1, 2, "a")
    assert dataclasses.is_dataclass(Named)
    assert [field.name for field in dataclasses.fields(Named)] == ["x", "y", "name"]
    assert [field.name for field in dataclasses.fields(Point)] == ["x", "y"]
    assert dataclasses.asdict(one) == {"x": 1, "y": 2, "name": "a"}
    assert dataclasses.replace(one, y=5) == Named(1, 5, "a")
    assert dataclasses.fields(Point)[1].default == 0


def test_it_is_copied_pickled_and_matched():
    one = Named(1, 2, "a")
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one
    match one:
        case Named(x, y, name):
            assert (x, y, name) == (1, 2, "a")
    if sys.version_info >= (3, 13):
        assert copy.replace(one, y=5) == Named(1, 5, "a")


def test_its_signature_is_that_of_its_fields():
    assert str(inspect.signature(Point)) == "(x: int, y: int = 0) -> None"
    assert str(inspect.signature(Settings)) == "(*, rate: int, loop: bool = False) -> None"
