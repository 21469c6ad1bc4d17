"""Frozen values with named fields that cost next to nothing to define.

``@dataclass`` writes and compiles the source of six methods for each class: 0.4 ms, and there were
eighty of them. Here the methods are written once and read a class's fields. What is known of a
frozen dataclass holds: positional and named arguments, ``__post_init__``, ``repr``, ``==``,
``hash``, ``match``, pickling, and ``dataclasses.replace``, ``fields`` and ``asdict``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

if TYPE_CHECKING:
    import inspect

# Values, not factories: those of a record are immutable too.
_REQUIRED: Any = object()


class _MadeWhenAsked:
    """An attribute of each record class that is made when it is first asked for."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, one: object, owner: type) -> Any:
        made = self._make(owner)
        setattr(owner, self._name, made)
        return made


def _dataclass_fields(record: type[Record]) -> Mapping[str, object]:
    """Return what ``dataclasses`` looks for: taken from a dataclass with the same fields."""
    from dataclasses import dataclass

    namespace = {name: value for name, value in record._fields.items() if value is not _REQUIRED}
    annotations = {name: record._types[name] for name in record._fields}
    twin: Any = dataclass(type(record.__name__, (), {**namespace, "__annotations__": annotations}))
    fields: Mapping[str, object] = twin.__dataclass_fields__
    return fields


def _signature(record: type[Record]) -> inspect.Signature:
    from inspect import Parameter, Signature

    kind = Parameter.KEYWORD_ONLY if record._kw_only else Parameter.POSITIONAL_OR_KEYWORD
    return Signature(
        [
            Parameter(
                name,
                kind,
                default=Parameter.empty if value is _REQUIRED else value,
                annotation=record._types[name],
            )
            for name, value in record._fields.items()
        ],
        return_annotation=None,
    )


@dataclass_transform(frozen_default=True)
class Record:
    """The base of all such values; a subclass lists its fields as annotations, with defaults."""

    _fields: ClassVar[dict[str, Any]] = {}
    _types: ClassVar[dict[str, Any]] = {}
    _kw_only: ClassVar[bool] = False

    if not TYPE_CHECKING:  # checkers know a record by ``dataclass_transform``
        __dataclass_fields__ = _MadeWhenAsked(_dataclass_fields)
        __signature__ = _MadeWhenAsked(_signature)

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        own = cls.__annotations__
        cls._fields = {**cls._fields, **{each: getattr(cls, each, _REQUIRED) for each in own}}
        cls._types = {**cls._types, **own}
        cls._kw_only = kw_only
        if not TYPE_CHECKING:
            cls.__match_args__ = () if kw_only else tuple(cls._fields)
            cls.__dataclass_fields__ = Record.__dict__["__dataclass_fields__"]
            cls.__signature__ = Record.__dict__["__signature__"]

    def __init__(self, *positional: Any, **named: Any) -> None:
        fields = self._fields
        if positional or len(named) != len(fields) or named.keys() != fields.keys():
            named = self._bound(positional, named)
        self.__dict__.update(named)
        self.__post_init__()

    def _bound(self, positional: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        """Return a value for each field, in their order; raise as a function would."""
        fields = self._fields
        what = f"{type(self).__name__}.__init__()"
        most = 0 if self._kw_only else len(fields)
        if len(positional) > most:
            raise TypeError(f"{what} takes {most} positional arguments, {len(positional)} given")
        given = dict(zip(fields, positional, strict=False))
        for name in named:
            if name not in fields:
                raise TypeError(f"{what} got an unexpected keyword argument {name!r}")
            if name in given:
                raise TypeError(f"{what} got multiple values for argument {name!r}")
        bound = {**fields, **given, **named}
        missing = [name for name, value in bound.items() if value is _REQUIRED]
        if missing:
            raise TypeError(f"{what} is missing {', '.join(map(repr, missing))}")
        return bound

    def __post_init__(self) -> None:
        """Check the fields; for subclasses."""

    def __setattr__(self, name: str, value: object) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__qualname__}({values})"

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    if not TYPE_CHECKING:

        def __replace__(self, **changes: Any) -> Record:  # copy.replace of Python 3.13
            return type(self)(**{name: getattr(self, name) for name in self._fields} | changes)
