"""A source that reads a pipe, a socket or any other file object, which may block for ever."""

from __future__ import annotations

import io
import os
import select
import stat
import threading
from typing import Any, Literal, Protocol

from stream_audio._checks import one_of
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource
from stream_audio.errors import ConfigTypeError, FileError, SessionStateError, in_words
from stream_audio.files.raw_format import RawFormat
from stream_audio.files.raw_samples import RawSamples
from stream_audio.files.wav_stream import WavHead, read_wav_head
from stream_audio.sources.feed import Feed, OpenFeed

HEAD_TIMEOUT = 10.0
"""Seconds that a start waits for the head of a WAV file."""

READ_BYTES = 1 << 16
"""As many are read at once, if they are there."""

LIVE_SECONDS = 0.01
"""What is read at once from an object that returns only when all of it is there."""

LOOK_INTERVAL = 0.25
"""Seconds after which a thread that waits for a pipe looks whether it is still wanted."""

END_WAIT = 1.0
"""Seconds that a pipe may take to show whether more follows the audio that its head claims."""

_BEHIND_AUDIO = 8
"""Bytes that tell whether they are audio."""


class Readable(Protocol):
    """A file object in binary mode."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to so many bytes; none at the end."""
        ...


class StreamSource:
    """See :meth:`AudioSource.stream`."""

    def __init__(
        self, file: Readable, raw: RawFormat | None, when_full: Literal["block", "gap"]
    ) -> None:
        if isinstance(file, io.TextIOBase) or not callable(getattr(file, "read", None)):
            hint = "Open it in binary mode; of sys.stdin that is sys.stdin.buffer"
            raise ConfigTypeError(f"stream takes a file object, not {file!r}", hint=hint)
        if raw is not None and not isinstance(raw, RawFormat):
            raise ConfigTypeError(f"raw must be a RawFormat, not {raw!r}")
        one_of("when_full", when_full, ("block", "gap"))
        self._when_full: Literal["block", "gap"] = when_full
        self._raw = raw
        self._input = Input(file)
        self._in_use = threading.Lock()
        self._head: WavHead | None = None

    def open(self, opening: Opening) -> OpenSource:
        """Read the head, which says what follows."""
        if not self._in_use.acquire(blocking=False):
            raise SessionStateError(
                "the stream is in use, or was read before", hint="A stream serves one session"
            )
        # One whose head did not come, or was none, stays in use: nobody knows where it stands.
        head = self._head = self._head or self._read_head()
        try:
            feed = Feed(head.raw.sample_rate, head.raw.channels, self._when_full)
            return OpenStream(feed, opening, self._input, head, self._in_use.release)
        except BaseException:
            self._in_use.release()
            raise

    def _read_head(self) -> WavHead:
        """Read it on a thread, as it may never come."""
        if self._raw is not None:
            return WavHead(self._raw, None)
        found: list[WavHead] = []
        errors: list[FileError] = []

        def read() -> None:
            try:
                found.append(read_wav_head(self._input.read))
            except FileError as error:
                errors.append(error)

        thread = threading.Thread(target=read, name="stream-audio-head", daemon=True)
        thread.start()
        try:
            thread.join(HEAD_TIMEOUT)
        finally:
            self._input.wanted = not thread.is_alive()
        if thread.is_alive():
            raise FileError(
                f"the head of a WAV file did not come within {HEAD_TIMEOUT:g} s",
                hint="If the stream has none, say what it holds: raw=RawFormat(…)",
            )
        if errors:
            raise errors[0]
        return found[0]

    def __repr__(self) -> str:
        return f"<stream of {self._input.file!r}>"


class Input:
    """What is read, by one thread at a time.

    Attributes
    ----------
    wanted : bool
        Whether the thread that reads is to go on. One that waits for a pipe sees a change soon;
        any other only when its read returns.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        self.wanted = True
        self._read: Any = getattr(file, "read1", None) or file.read
        self.returns_early = hasattr(file, "read1") or isinstance(file, io.RawIOBase)
        self._before = b""  # was read, and is to be returned once more
        self._pipe = _pipe_of(file)

    def some(self, most: int, *, within: float | None = None) -> bytes:
        """Return up to so many bytes as soon as some are there.

        None at the end, when it is no longer wanted, or if a pipe has none within so many seconds.
        """
        if self._before:
            data, self._before = self._before[:most], self._before[most:]
            return data
        while self._pipe_is_ready(within):
            try:
                data = self._read(most)
            except Exception as error:
                raise FileError("the stream cannot be read", host_text=in_words(error)) from error
            if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
                raise FileError(f"the stream returns {type(data).__name__}, not bytes")
            if data is not None:
                return bytes(data)
            threading.Event().wait(LOOK_INTERVAL / 10)  # it does not block, and has nothing yet
        return b""

    def read(self, count: int) -> bytes:
        """Return so many bytes, or fewer at the end."""
        pieces = []
        while count > 0 and (piece := self.some(min(count, READ_BYTES))):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def give_back(self, data: bytes) -> None:
        """Have the next read return it."""
        self._before = data + self._before

    def _pipe_is_ready(self, within: float | None) -> bool:
        """Wait until a read of a pipe would not block; False: nobody wants it, or time is up."""
        waited = 0.0
        while self.wanted and self._pipe is not None:
            if within is not None and waited >= within:
                return False
            try:
                ready, _, _ = select.select([self._pipe], [], [], LOOK_INTERVAL)
            except (OSError, ValueError):  # it was closed, which the read says better
                return True
            if ready:
                break
            waited += LOOK_INTERVAL
        return self.wanted


def _pipe_of(file: Any) -> int | None:
    """Return the descriptor, if that tells when there is something to read.

    Not that of a socket, behind which a layer of encryption may hold back what it has read.
    """
    try:
        descriptor = file.fileno()
        mode = os.fstat(descriptor).st_mode
    except Exception:  # whatever a user's object raises, it has none
        return None
    selectable = os.name == "posix" and descriptor < 1024
    return descriptor if selectable and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)) else None


class OpenStream(OpenFeed):
    """A stream in a session: a thread that reads it into a feed."""

    description = "stream"

    def __init__(
        self, feed: Feed, opening: Opening, source: Input, head: WavHead, give_back: Any
    ) -> None:
        opened = feed.open(opening)
        super().__init__(feed, opened.capture, opening.clock, freewheel=opened.freewheel)
        self._input = source
        self._head = head
        self._give_back = give_back
        self._error: FileError | None = None
        self._unclear = ""
        self._thread = threading.Thread(target=self._run, name="stream-audio-stream", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._input.wanted = True
        super().start()
        self._thread.start()

    def _run(self) -> None:
        try:
            self._read()
        except FileError as error:  # raised by stop(), which the router calls at the end
            self._error = error
        except SessionStateError:
            return  # the session has ended meanwhile
        except BaseException as error:  # of a user's object, which may raise anything
            self._error = FileError("the stream cannot be read", host_text=in_words(error))
            self._error.__cause__ = error
        finally:
            self._feed.close()

    def _read(self) -> None:
        raw, left = self._head.raw, self._head.audio_bytes
        samples = RawSamples(raw)
        self._input.read(raw.offset)
        most = READ_BYTES
        if not self._input.returns_early:
            most = max(1, round(LIVE_SECONDS * raw.sample_rate)) * raw.frame_bytes
        frames = 0
        while left is None or left > 0:
            data = self._input.some(most if left is None else min(most, left))
            if not data:
                break
            frames += self._feed.write(samples.frames(data))
            if left is not None:
                left -= len(data)
                if left == 0 and self._audio_goes_on():
                    self._unclear = (
                        f"the stream goes on after the {frames} frames that its head claims"
                    )
                    left = None
        if not self._input.wanted:
            return
        if left and self._head.audio_bytes is not None:
            claimed = self._head.audio_bytes // raw.frame_bytes
            raise FileError(
                f"the stream ends after {frames} frames, but its head claims {claimed}"
            )
        if samples.waiting:
            self._unclear = f"the stream ends within a frame, after {frames}"

    def _audio_goes_on(self) -> bool:
        """Whether audio follows where the head says that it ends: it was written too early."""
        from stream_audio.files.wav_damage import NO_AUDIO

        behind = self._input.some(_BEHIND_AUDIO, within=END_WAIT)
        while behind and len(behind) < _BEHIND_AUDIO:
            more = self._input.some(_BEHIND_AUDIO - len(behind), within=END_WAIT)
            if not more:
                break
            behind += more
        self._input.give_back(behind)
        padded = behind[:1] == b"\0" and behind[1:].startswith(NO_AUDIO)
        return len(behind) > 1 and not padded and not behind.startswith(NO_AUDIO)

    def stop(self) -> str:
        """End the source; a read that blocks is left alone. Raises what kept it from its end.

        Returns
        -------
        str
            Why it is unclear whether that was the end of the audio; empty if it is clear.
        """
        self._input.wanted = False
        super().stop()
        if self._error is not None:
            raise self._error
        return self._unclear

    def close(self) -> None:
        """Free the capture."""
        super().close()
        if not self._started:
            self._give_back()
