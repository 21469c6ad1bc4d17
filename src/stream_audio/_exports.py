"""The public names, gathered from where they are made."""

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.format import AudioFormat, FormatPreset
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.backlog.policy import Backlog
from stream_audio.builder import StreamAudio, StreamAudioBuilder
from stream_audio.config import StreamConfig
from stream_audio.contracts.sink import Sink, SinkInfo, SourceInfo
from stream_audio.devices.input_device import InputDevice
from stream_audio.devices.list import default_input_device, list_input_devices
from stream_audio.errors import (
    AmbiguousDeviceError,
    BackendError,
    ConfigError,
    ConfigTypeError,
    DeviceError,
    DeviceFormatError,
    DeviceNotFoundError,
    FileError,
    FileSinkError,
    ForkedProcessError,
    HostUnresponsiveError,
    SessionStateError,
    SinkError,
    StreamAudioError,
)
from stream_audio.files.formats import SoundFormat, formats
from stream_audio.files.repair import RepairReport, repair
from stream_audio.reports.events import (
    Clipping,
    DigitalSilence,
    DiskLow,
    FallbackUsed,
    FileClosed,
    FileMoved,
    GapDetected,
    SessionStarted,
    SessionStopped,
    SilenceEnded,
    SinkFailed,
    SinkStalled,
    SourceEnded,
    SourceLost,
    SourceStalled,
    SpillFailed,
    StreamEvent,
    TriggerEnded,
    TriggerStarted,
)
from stream_audio.reports.histogram import Histogram
from stream_audio.reports.report import Pause, SessionReport, SinkReport, SourceReport
from stream_audio.reports.stats import MemoryUse, SessionStats, SinkStats, SourceStats
from stream_audio.session import Session
from stream_audio.shortcuts import listen, open, record
from stream_audio.sink_handle import SinkHandle
from stream_audio.sinks.callback import CallbackSink
from stream_audio.sinks.channel import ChannelSink
from stream_audio.sinks.energy_gate import EnergyGate
from stream_audio.sinks.file import FileSink
from stream_audio.sinks.trigger import TriggerSink
from stream_audio.sources.audio_source import AudioSource
from stream_audio.transcoding import transcode

__all__ = [
    "AmbiguousDeviceError",
    "AudioChunk",
    "AudioFormat",
    "AudioSource",
    "BackendError",
    "Backlog",
    "CallbackSink",
    "ChannelSink",
    "Clipping",
    "ConfigError",
    "ConfigTypeError",
    "DeviceError",
    "DeviceFormatError",
    "DeviceNotFoundError",
    "DigitalSilence",
    "DiskLow",
    "EnergyGate",
    "FallbackUsed",
    "FileClosed",
    "FileError",
    "FileMoved",
    "FileSink",
    "FileSinkError",
    "ForkedProcessError",
    "FormatPreset",
    "Gap",
    "GapCause",
    "GapDetected",
    "Histogram",
    "HostUnresponsiveError",
    "InputDevice",
    "MemoryUse",
    "Pause",
    "RepairReport",
    "Session",
    "SessionReport",
    "SessionStarted",
    "SessionStateError",
    "SessionStats",
    "SessionStopped",
    "SilenceEnded",
    "Sink",
    "SinkError",
    "SinkFailed",
    "SinkHandle",
    "SinkInfo",
    "SinkReport",
    "SinkStalled",
    "SinkStats",
    "SoundFormat",
    "SourceEnded",
    "SourceInfo",
    "SourceLost",
    "SourceReport",
    "SourceStalled",
    "SourceStats",
    "SpillFailed",
    "StreamAudio",
    "StreamAudioBuilder",
    "StreamAudioError",
    "StreamConfig",
    "StreamEvent",
    "TriggerEnded",
    "TriggerSink",
    "TriggerStarted",
    "default_input_device",
    "formats",
    "list_input_devices",
    "listen",
    "open",
    "record",
    "repair",
    "transcode",
]
