"""Reading elsewhere what a :class:`~stream_audio.NatsSink` has fed into a stream of NATS."""

from stream_audio.nats.reader import Reader

__all__ = ["Reader"]
