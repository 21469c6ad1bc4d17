"""Checks of what users pass in: a clear error at once, with the value in it."""

from __future__ import annotations

import math
from numbers import Integral, Real

from stream_audio.errors import ConfigError, ConfigTypeError, shown


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """Return ``value`` as an int, or raise if it is none or outside ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ConfigTypeError(f"{name} must be a whole number, not {shown(value)}")
    number = int(value)
    if not low <= number <= high:
        raise ConfigError(f"{name} must be from {low} to {high}, not {number}")
    return number


def real_number(name: str, value: object, low: float, high: float) -> float:
    """Return ``value`` as a float, or raise if it is none, not finite or out of range."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ConfigTypeError(f"{name} must be a number, not {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not low <= number <= high:
        raise ConfigError(f"{name} must be from {low:g} to {high:g}, not {shown(value):.40}")
    return number


def one_of(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``choices``, or raise and list them."""
    if not isinstance(value, str):
        raise ConfigTypeError(f"{name} must be a string, not {shown(value)}")
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}; not {shown(value)}")
    return choices[choices.index(value)]  # and not an object of a type derived from str


def name_text(name: str, value: object) -> str:
    """Return ``value`` if it is a string that is not empty, or raise."""
    if not isinstance(value, str):
        raise ConfigTypeError(f"{name} must be a string, not {shown(value)}")
    if not value.strip():
        raise ConfigError(f"{name} must not be empty")
    return value
