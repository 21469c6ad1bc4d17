"""What a measurement of latencies may have found."""

from stream_audio.latency.figures import figures

RUN = {
    "load": "none",
    "sample_rate": 48_000,
    "channels": 2,
    "period": 256,
    "chunk": 256,
    "callback_to": {
        "ring": figures([1e-7] * 100),
        "channel": figures([0.001] * 99 + [0.02]),
        "callback": figures([0.002] * 98 + [0.03] * 2),
    },
    "period_jitter": None,
    "dll_error": None,
    "cpu": {"channel": 0.0123},
    "ring_highest": 480,
    "threads": {"SCHED_OTHER": 4, "SCHED_FIFO 70": 1},
    "balanced": True,
    "lost": {"host_overflow": 256},
    "lost_frames": 256,
}
DOCUMENT = {
    "machine": {
        "cpu": "a processor",
        "cores": 2,
        "governor": "performance",
        "kernel": "Linux 6",
        "python": "3.11",
        "switch_interval": 0.005,
        "versions": {"stream-audio": "0.1.0"},
        "date": "today",
    },
    "device": {"name": "mic", "host_api": "JACK"},
    "runs": [RUN],
    "interrupted": False,
}
