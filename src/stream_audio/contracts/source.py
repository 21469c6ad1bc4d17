"""What the engine needs of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stream_audio._native.capture import Capture
    from stream_audio.contracts.opening import Opening


class OpenSource(Protocol):
    """A source whose device is open."""

    capture: Capture
    sample_rate: int
    channels: int
    """That the capture holds."""
    own_channels: tuple[int, ...]
    """Those of them that the user means by the source, in order; formats may pick others."""
    silence_is_normal: bool
    """Exact zeros are no sign of trouble: a monitor of what the computer plays, a file."""
    freewheel: bool
    """Not paced by the clock: it waits for room in the ring instead of losing frames."""
    latency: float | None
    """Of input, in seconds, as the host reports it; ``None``: it reports none."""
    description: str

    def start(self) -> None:
        """Let the callbacks begin."""

    def stop(self) -> str | None:
        """End the callbacks; none comes after it returned without an error.

        Returns
        -------
        str, optional
            Why it is unclear whether all of its audio came, as only a file's can be.
        """

    def is_active(self) -> bool:
        """Whether the device says that it runs, as far as is known; must not block."""

    def lost(self) -> None:
        """Told when the device died: what is called from now on must not wait for it."""

    def close(self) -> None:
        """Free the device and the capture."""


class Source(Protocol):
    """A description of a source, as a user makes it."""

    def open(self, opening: Opening) -> OpenSource:
        """Open the device, so that only :meth:`OpenSource.start` is missing."""
