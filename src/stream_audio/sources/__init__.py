"""Where audio comes from."""

from stream_audio.sources.audio_source import AudioSource

__all__ = ["AudioSource"]
