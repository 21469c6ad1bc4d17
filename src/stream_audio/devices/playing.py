"""The programs that play, and which of them is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from stream_audio._checks import name_text, whole_number
from stream_audio._native.pulse import PulseConnection, PulseProgram
from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.devices.loopback import loopback_connection
from stream_audio.devices.pulse import PulseInput, host_api
from stream_audio.errors import AmbiguousDeviceError, DeviceNotFoundError


@public
class PlayingProgram(Record):
    """A stream that a program plays, which ``AudioSource.application()`` can record.

    Attributes
    ----------
    name : str
        The program's name, as it tells the sound server.
    process : int or None
        The program's process id, if the server knows it.
    title : str
        What the program says that it plays, such as a song's title.
    binary : str
        The file name of the program's binary; empty if unknown.
    output : str
        The output that the stream plays to, by the name that a desktop shows.
    sample_rate : int
        The stream's rate in Hz.
    channels : int
        The stream's number of channels.
    paused : bool
        Whether the program has paused the stream.
    id : str
        A name that no other stream of this server has, now or later.
    """

    name: str
    process: int | None
    title: str
    binary: str
    output: str
    sample_rate: int
    channels: int
    paused: bool
    id: str

    def __str__(self) -> str:
        process = "" if self.process is None else f", process {self.process}"
        title = f" playing {self.title!r}" if self.title else ""
        return f"{self.name!r}{title} ({self.id}{process}{', paused' if self.paused else ''})"


class SameProgram(Record):
    """A program that has played before, whatever it plays now."""

    name: str
    binary: str
    process: int


ProgramWanted = str | int | PlayingProgram | SameProgram
"""What a user may say to mean one program."""


@public
def list_playing() -> list[PlayingProgram]:
    """Return the programs that play now, one entry for each stream, paused ones included.

    Raises
    ------
    LoopbackUnavailable
        There is no sound server that could record them.
    BackendError, HostUnresponsiveError
        The server cannot be asked, or does not answer.
    """
    connection = loopback_connection("what programs play")
    try:
        return [playing(each, connection) for each in connection.programs]
    finally:
        connection.release()


def program_wanted(value: object) -> ProgramWanted:
    """Return ``value`` if it can mean a program, or raise."""
    if isinstance(value, PlayingProgram):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return whole_number("name_or_pid", value, 1, 2**31 - 1)
    return name_text("name_or_pid", value)


def find_program(wanted: ProgramWanted, connection: PulseConnection) -> PulseInput:
    """Return the one stream that is wanted, with the monitor through which it is recorded.

    A number is a process id. A name is tried in turn as the id; as the program's name or its
    binary's; as both without regard to case; as a part of these or of the title. A stream that
    plays goes before one that is paused.

    Raises
    ------
    DeviceNotFoundError
        None fits; the error lists what plays.
    AmbiguousDeviceError
        Several fit; the error lists them.
    """
    programs = [(playing(each, connection), each) for each in connection.programs]
    for fits in _tests(wanted):
        found = [each for each in programs if fits(each[0])]
        found = [each for each in found if not each[0].paused] or found
        if len(found) > 1:
            listed = [each for each, _ in found]
            raise AmbiguousDeviceError(
                f"{len(found)} streams fit {_words(wanted)}",
                hint=f"Give the id or the process id of one of these: {_listed(listed)}",
            )
        if found:
            return _recorded(*found[0], connection)
    raise DeviceNotFoundError(
        f"no program that plays fits {_words(wanted)}",
        hint=f"These play: {_listed([each for each, _ in programs])}"
        if programs
        else "No program plays anything at the moment",
    )


def playing(program: PulseProgram, connection: PulseConnection) -> PlayingProgram:
    """Return what users see of a program's stream."""
    outputs = {each.index: each.description for each in connection.outputs}
    return PlayingProgram(
        name=program.name or program.binary or program.title,
        process=None if program.process < 0 else program.process,
        title=program.title,
        binary=program.binary,
        output=outputs.get(program.output, ""),
        sample_rate=program.sample_rate,
        channels=len(program.channel_map),
        paused=program.paused,
        id=program_id(program),
    )


def same_program(program: PulseProgram) -> SameProgram:
    """Return what means a program's next stream."""
    name = program.name or program.binary or program.title
    return SameProgram(name, program.binary, program.process)


def program_id(program: PulseProgram) -> str:
    """Return the id of a program's stream."""
    return f"pulse:program:{program.index}"


def _tests(wanted: ProgramWanted) -> Sequence[Callable[[PlayingProgram], bool]]:
    if isinstance(wanted, PlayingProgram):
        return (lambda each: each.id == wanted.id,)
    if isinstance(wanted, SameProgram):
        return (
            lambda each: wanted.process > 0 and each.process == wanted.process,
            lambda each: (each.name, each.binary) == (wanted.name, wanted.binary),
        )
    if isinstance(wanted, int):
        return (lambda each: each.process == wanted,)
    folded = wanted.casefold()
    return (
        lambda each: each.id == wanted,
        lambda each: wanted in (each.name, each.binary),
        lambda each: folded in (each.name.casefold(), each.binary.casefold()),
        lambda each: any(
            folded in text.casefold() for text in (each.name, each.binary, each.title)
        ),
    )


def _recorded(
    shown: PlayingProgram, program: PulseProgram, connection: PulseConnection
) -> PulseInput:
    monitors = {each.index: each.monitor for each in connection.outputs}
    name = monitors.get(program.output)
    for source in connection.sources:
        if source.name == name:
            break
    else:
        raise DeviceNotFoundError(f"what {shown} plays to has no monitor")
    if host_api(connection) == "PipeWire":
        # There the stream itself is recorded; PulseAudio records what it is made for its output.
        source = replace(source, channel_map=program.channel_map, sample_rate=program.sample_rate)
    process = "" if shown.process is None else f" (process {shown.process})"
    return PulseInput(connection, replace(source, description=f"{shown.name}{process}"), program)


def _words(wanted: ProgramWanted) -> str:
    if isinstance(wanted, int):
        return f"process {wanted}"
    if isinstance(wanted, SameProgram):
        return repr(wanted.name)
    return repr(wanted.id if isinstance(wanted, PlayingProgram) else wanted)


def _listed(programs: Sequence[PlayingProgram]) -> str:
    return "; ".join(str(each) for each in programs)
