"""Streams of soxr in a forked child: freed there, where the thread that uses them is gone."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class HoldsStream(Protocol):
    """What has a stream of soxr."""

    def abandon(self) -> None:
        """Free the stream; nothing may be converted any more."""


_holders: weakref.WeakSet[HoldsStream] = weakref.WeakSet()


def free_in_child(holder: HoldsStream) -> None:
    """Have a stream freed in a forked child.

    A child would keep it for good, and soxr's binding complains of that when the child exits.
    """
    _holders.add(holder)


def _let_go() -> None:
    for holder in _holders:
        holder.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
