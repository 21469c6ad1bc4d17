"""What a PulseAudio server plays is what is recorded."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stream_audio import AudioSource, FileSink, FormatPreset, StreamAudio
from support import servers

FREQUENCY = 1000.0
LEVEL = -12.0
RATE = 48_000


def test_a_tone_keeps_its_frequency_and_level(pulse: servers.PulseAudio, tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    source = AudioSource.device("speakers_monitor", sample_rate=RATE, channels=2)
    builder = StreamAudio.builder().add_source("monitor", source)
    builder.format(FormatPreset.NATIVE).add_sink(FileSink(path))
    with (
        pulse.play_tone(FREQUENCY, level_dbfs=LEVEL),
        builder.duration(4).start() as session,
    ):
        assert session.wait(30)
    report = session.report()
    assert report.balanced, report

    samples, rate = soundfile.read(path)
    assert (rate, len(samples)) == (RATE, 4 * RATE)
    steady = samples[-2 * RATE :, 0]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert np.argmax(spectrum) * RATE / len(steady) == pytest.approx(FREQUENCY, abs=1)
    # The level is that of the sine's peak; its RMS is 3.01 dB below.
    rms = 20 * np.log10(np.sqrt(np.mean(steady**2)))
    assert rms == pytest.approx(LEVEL - 3.01, abs=0.2)
