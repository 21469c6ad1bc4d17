"""Recording what the computer plays: whether this machine can, and what it lacks if not."""

from __future__ import annotations

import sys

from stream_audio._native.pulse import NoPulseServerError, PulseConnection
from stream_audio._native.warm import Reuse
from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.devices.pulse import host_api
from stream_audio.errors import LoopbackUnavailable, StreamAudioError

_INSTALL = {
    "darwin": "macOS offers programs no such recording here: install a virtual device such as "
    "BlackHole, play to it, and record it with AudioSource.device(…)",
    "win32": "Enable 'Stereo Mix' or install a virtual device such as VB-CABLE, and record it "
    "with AudioSource.device(…)",
}

_INSTALL_ON_LINUX = (
    "Install libpulse (Debian, Ubuntu: libpulse0; Fedora: pulseaudio-libs), and run PipeWire with "
    "pipewire-pulse, or PulseAudio"
)


@public
class Capabilities(Record):
    """What this machine can record beside its input devices.

    Attributes
    ----------
    system : bool
        Whether ``AudioSource.system()`` can record what an output plays.
    application : bool
        Whether ``AudioSource.application()`` can record a single program.
    exclude_self : bool
        Whether ``AudioSource.system(exclude_self=True)`` can leave this process out.
    server : str
        The sound server that does it: ``"PipeWire"`` or ``"PulseAudio"``; empty if none does.
    missing : str
        What is missing and what to install, if something cannot be done; otherwise empty.
    """

    system: bool
    application: bool
    exclude_self: bool
    server: str
    missing: str


@public
def capabilities() -> Capabilities:
    """Say what this machine can record beside its input devices.

    Asks the sound server, if there is one. Opens no device and no stream, and raises no error for
    what is missing.
    """
    try:
        connection = loopback_connection("what programs play")
    except StreamAudioError as error:
        return Capabilities(False, False, False, "", str(error))
    try:
        server = host_api(connection)
        has_output = bool(connection.outputs)
        missing = "" if has_output else f"{server} has no output"
        return Capabilities(has_output, has_output, False, server, missing)
    finally:
        connection.release()


def loopback_connection(what: str, reuse: Reuse | None = None) -> PulseConnection:
    """Connect to the server that can record ``what``, unless that can be used again.

    Raises
    ------
    LoopbackUnavailable
        There is none.
    BackendError, HostUnresponsiveError
        It cannot be asked, or does not answer.
    """
    try:
        return (reuse or Reuse(0.0)).take(PulseConnection, PulseConnection)
    except NoPulseServerError as error:
        raise LoopbackUnavailable(
            f"{what} cannot be recorded here: {error.message}",
            host_text=error.host_text,
            hint=_INSTALL.get(sys.platform, _INSTALL_ON_LINUX),
        ) from error


def cannot_exclude_self(connection: PulseConnection) -> LoopbackUnavailable:
    """Make the error for a server that cannot leave one program out."""
    return LoopbackUnavailable(
        f"{host_api(connection)} cannot leave this process out of what an output plays",
        hint="Record the programs that you want, each with AudioSource.application(…)",
    )
