"""A WebSocket server that notes which frames it got: on a thread here, or in a process.

    python -m support.frames_server PORT FILE

A message is eight bytes, a frame's number and how many follow, and as many numbers, which have to
be the frames' own. The process appends spans to FILE before it confirms them; it may be killed at
any moment.
"""

import asyncio
import logging
import os
import struct
import sys
import threading

import numpy as np
from websockets.asyncio.server import serve

HEADER = struct.Struct("<II")


def encode(chunk):
    """Make a message of a chunk of the virtual counter."""
    numbers = np.rint(chunk.data[:, 0] * 2**23).astype("<i4")
    return HEADER.pack(chunk.frame, chunk.frames) + numbers.tobytes()


def span(message):
    """Return the first frame of a message, and the one after its last."""
    frame, frames = HEADER.unpack(message[:8])
    numbers = np.frombuffer(message[8:], "<i4")
    np.testing.assert_array_equal(numbers, np.arange(frame, frame + frames))
    return frame, frame + frames


class ThreadServer:
    """Serves ``handle(connection)`` until the block ends; what that raises, the block raises."""

    def __init__(self, handle, *, port=0, **settings):
        self._handle = handle
        quiet = logging.Logger("quiet", logging.CRITICAL + 1)  # its messages have headers in them
        self._settings = {"ping_interval": None, "logger": quiet, **settings}
        self.port = port
        self.errors = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self):
        scheme = "wss" if "ssl" in self._settings else "ws"
        return f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.errors == []

    def _run(self):
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        connections = []

        async def handle(connection):
            connections.append(connection)
            try:
                await self._handle(connection)
            except (ConnectionError, asyncio.CancelledError):
                raise
            except Exception as error:
                if not type(error).__name__.startswith("ConnectionClosed"):
                    self.errors.append(error)

        async with serve(handle, "127.0.0.1", self.port, **self._settings) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._end.wait()
            for connection in connections:
                connection.transport.abort()


async def main(port, path):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def handle(connection):
        os.write(file, b"open\n")
        async for message in connection:
            begin, end = span(message)
            os.write(file, f"{begin} {end}\n".encode())
            await connection.send(str(end))

    async with serve(handle, "127.0.0.1", port, ping_interval=None):
        print("ready", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
