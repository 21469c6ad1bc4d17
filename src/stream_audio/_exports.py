"""Which public name is made where.

A name is loaded when it is first used (``__init__.py``), and with it only what it needs. So a name
stands here twice: for Python in the table, for type checkers in an import. A test compares them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_audio.audio.chunk import AudioChunk as AudioChunk
    from stream_audio.audio.format import AudioFormat as AudioFormat
    from stream_audio.audio.format import FormatPreset as FormatPreset
    from stream_audio.audio.gap import Gap as Gap
    from stream_audio.audio.gap import GapCause as GapCause
    from stream_audio.backlog.policy import Backlog as Backlog
    from stream_audio.backlog.retry import Retry as Retry
    from stream_audio.builder import StreamAudio as StreamAudio
    from stream_audio.builder import StreamAudioBuilder as StreamAudioBuilder
    from stream_audio.config import StreamConfig as StreamConfig
    from stream_audio.contracts.merge import Merge as Merge
    from stream_audio.contracts.sink import Sink as Sink
    from stream_audio.contracts.sink import SinkInfo as SinkInfo
    from stream_audio.contracts.sink import SourceInfo as SourceInfo
    from stream_audio.devices.input_device import InputDevice as InputDevice
    from stream_audio.devices.list import default_input_device as default_input_device
    from stream_audio.devices.list import list_input_devices as list_input_devices
    from stream_audio.devices.loopback import Capabilities as Capabilities
    from stream_audio.devices.loopback import capabilities as capabilities
    from stream_audio.devices.playing import PlayingProgram as PlayingProgram
    from stream_audio.devices.playing import list_playing as list_playing
    from stream_audio.errors import AmbiguousDeviceError as AmbiguousDeviceError
    from stream_audio.errors import BackendError as BackendError
    from stream_audio.errors import ConfigError as ConfigError
    from stream_audio.errors import ConfigTypeError as ConfigTypeError
    from stream_audio.errors import DeviceError as DeviceError
    from stream_audio.errors import DeviceFormatError as DeviceFormatError
    from stream_audio.errors import DeviceNotFoundError as DeviceNotFoundError
    from stream_audio.errors import FeedFullError as FeedFullError
    from stream_audio.errors import FileError as FileError
    from stream_audio.errors import FileSinkError as FileSinkError
    from stream_audio.errors import ForkedProcessError as ForkedProcessError
    from stream_audio.errors import HostUnresponsiveError as HostUnresponsiveError
    from stream_audio.errors import LoopbackUnavailable as LoopbackUnavailable
    from stream_audio.errors import SessionStateError as SessionStateError
    from stream_audio.errors import SinkError as SinkError
    from stream_audio.errors import StreamAudioError as StreamAudioError
    from stream_audio.files.formats import SoundFormat as SoundFormat
    from stream_audio.files.formats import formats as formats
    from stream_audio.files.raw_format import RawFormat as RawFormat
    from stream_audio.files.repair import RepairReport as RepairReport
    from stream_audio.files.repair import repair as repair
    from stream_audio.live.sink_handle import SinkHandle as SinkHandle
    from stream_audio.network.nats_sink import NatsSink as NatsSink
    from stream_audio.network.websocket_sink import WebSocketSink as WebSocketSink
    from stream_audio.reports.events import Clipping as Clipping
    from stream_audio.reports.events import DefaultChanged as DefaultChanged
    from stream_audio.reports.events import DeviceAdded as DeviceAdded
    from stream_audio.reports.events import DeviceRemoved as DeviceRemoved
    from stream_audio.reports.events import DigitalSilence as DigitalSilence
    from stream_audio.reports.events import DiskLow as DiskLow
    from stream_audio.reports.events import FallbackUsed as FallbackUsed
    from stream_audio.reports.events import FileClosed as FileClosed
    from stream_audio.reports.events import FileMoved as FileMoved
    from stream_audio.reports.events import GapDetected as GapDetected
    from stream_audio.reports.events import MergeIncomplete as MergeIncomplete
    from stream_audio.reports.events import SessionStarted as SessionStarted
    from stream_audio.reports.events import SessionStopped as SessionStopped
    from stream_audio.reports.events import SilenceEnded as SilenceEnded
    from stream_audio.reports.events import SinkDisconnected as SinkDisconnected
    from stream_audio.reports.events import SinkFailed as SinkFailed
    from stream_audio.reports.events import SinkReconnected as SinkReconnected
    from stream_audio.reports.events import SinkStalled as SinkStalled
    from stream_audio.reports.events import SourceEnded as SourceEnded
    from stream_audio.reports.events import SourceLost as SourceLost
    from stream_audio.reports.events import SourceRecovered as SourceRecovered
    from stream_audio.reports.events import SourceResumed as SourceResumed
    from stream_audio.reports.events import SourceStalled as SourceStalled
    from stream_audio.reports.events import SourceSuspended as SourceSuspended
    from stream_audio.reports.events import SourceSwitched as SourceSwitched
    from stream_audio.reports.events import SpillFailed as SpillFailed
    from stream_audio.reports.events import StreamEvent as StreamEvent
    from stream_audio.reports.events import TriggerEnded as TriggerEnded
    from stream_audio.reports.events import TriggerStarted as TriggerStarted
    from stream_audio.reports.events import WrongSampleRate as WrongSampleRate
    from stream_audio.reports.histogram import Histogram as Histogram
    from stream_audio.reports.merge_report import AlignmentReport as AlignmentReport
    from stream_audio.reports.merge_report import MergeInputReport as MergeInputReport
    from stream_audio.reports.merge_report import MergeReport as MergeReport
    from stream_audio.reports.report import Pause as Pause
    from stream_audio.reports.report import SessionReport as SessionReport
    from stream_audio.reports.report import SinkReport as SinkReport
    from stream_audio.reports.report import SourceReport as SourceReport
    from stream_audio.reports.stats import MemoryUse as MemoryUse
    from stream_audio.reports.stats import SessionStats as SessionStats
    from stream_audio.reports.stats import SinkStats as SinkStats
    from stream_audio.reports.stats import SourceStats as SourceStats
    from stream_audio.session import Session as Session
    from stream_audio.shortcuts.meeting import record_meeting as record_meeting
    from stream_audio.shortcuts.quick import listen as listen
    from stream_audio.shortcuts.quick import open as open
    from stream_audio.shortcuts.quick import record as record
    from stream_audio.sinks.callback import CallbackSink as CallbackSink
    from stream_audio.sinks.channel import ChannelSink as ChannelSink
    from stream_audio.sinks.energy_gate import EnergyGate as EnergyGate
    from stream_audio.sinks.file import FileSink as FileSink
    from stream_audio.sinks.pipe import PipeSink as PipeSink
    from stream_audio.sinks.trigger import TriggerSink as TriggerSink
    from stream_audio.sources.audio_source import AudioSource as AudioSource
    from stream_audio.sources.feed import Feed as Feed
    from stream_audio.sources.watching import DeviceWatcher as DeviceWatcher
    from stream_audio.sources.watching import watch_devices as watch_devices
    from stream_audio.transcoding import transcode as transcode

_WHERE = {
    "AmbiguousDeviceError": "errors",
    "AudioChunk": "audio.chunk",
    "AudioFormat": "audio.format",
    "AudioSource": "sources.audio_source",
    "BackendError": "errors",
    "Backlog": "backlog.policy",
    "CallbackSink": "sinks.callback",
    "Capabilities": "devices.loopback",
    "ChannelSink": "sinks.channel",
    "Clipping": "reports.events",
    "ConfigError": "errors",
    "ConfigTypeError": "errors",
    "DeviceError": "errors",
    "DeviceFormatError": "errors",
    "DeviceNotFoundError": "errors",
    "DeviceAdded": "reports.events",
    "DeviceRemoved": "reports.events",
    "DeviceWatcher": "sources.watching",
    "DigitalSilence": "reports.events",
    "DiskLow": "reports.events",
    "EnergyGate": "sinks.energy_gate",
    "FallbackUsed": "reports.events",
    "Feed": "sources.feed",
    "FeedFullError": "errors",
    "FileClosed": "reports.events",
    "FileError": "errors",
    "FileMoved": "reports.events",
    "FileSink": "sinks.file",
    "FileSinkError": "errors",
    "ForkedProcessError": "errors",
    "FormatPreset": "audio.format",
    "Gap": "audio.gap",
    "GapCause": "audio.gap",
    "GapDetected": "reports.events",
    "MergeIncomplete": "reports.events",
    "AlignmentReport": "reports.merge_report",
    "MergeInputReport": "reports.merge_report",
    "MergeReport": "reports.merge_report",
    "Merge": "contracts.merge",
    "Histogram": "reports.histogram",
    "HostUnresponsiveError": "errors",
    "InputDevice": "devices.input_device",
    "LoopbackUnavailable": "errors",
    "MemoryUse": "reports.stats",
    "NatsSink": "network.nats_sink",
    "Pause": "reports.report",
    "PipeSink": "sinks.pipe",
    "PlayingProgram": "devices.playing",
    "RawFormat": "files.raw_format",
    "RepairReport": "files.repair",
    "Retry": "backlog.retry",
    "Session": "session",
    "SessionReport": "reports.report",
    "SessionStarted": "reports.events",
    "SessionStateError": "errors",
    "SessionStats": "reports.stats",
    "SessionStopped": "reports.events",
    "SilenceEnded": "reports.events",
    "Sink": "contracts.sink",
    "SinkError": "errors",
    "SinkDisconnected": "reports.events",
    "SinkFailed": "reports.events",
    "SinkHandle": "live.sink_handle",
    "SinkInfo": "contracts.sink",
    "SinkReconnected": "reports.events",
    "SinkReport": "reports.report",
    "SinkStalled": "reports.events",
    "SinkStats": "reports.stats",
    "SoundFormat": "files.formats",
    "SourceEnded": "reports.events",
    "SourceInfo": "contracts.sink",
    "SourceLost": "reports.events",
    "SourceRecovered": "reports.events",
    "SourceReport": "reports.report",
    "SourceStalled": "reports.events",
    "DefaultChanged": "reports.events",
    "SourceResumed": "reports.events",
    "SourceSuspended": "reports.events",
    "SourceSwitched": "reports.events",
    "SourceStats": "reports.stats",
    "SpillFailed": "reports.events",
    "StreamAudio": "builder",
    "StreamAudioBuilder": "builder",
    "StreamAudioError": "errors",
    "StreamConfig": "config",
    "StreamEvent": "reports.events",
    "TriggerEnded": "reports.events",
    "TriggerSink": "sinks.trigger",
    "TriggerStarted": "reports.events",
    "WebSocketSink": "network.websocket_sink",
    "WrongSampleRate": "reports.events",
    "capabilities": "devices.loopback",
    "default_input_device": "devices.list",
    "formats": "files.formats",
    "list_input_devices": "devices.list",
    "list_playing": "devices.playing",
    "listen": "shortcuts.quick",
    "open": "shortcuts.quick",
    "record": "shortcuts.quick",
    "record_meeting": "shortcuts.meeting",
    "repair": "files.repair",
    "transcode": "transcoding",
    "watch_devices": "sources.watching",
}
