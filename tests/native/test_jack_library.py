"""csrc/jack_library.h says what the header of the system's JACK says."""

import subprocess
from pathlib import Path

from support.processes import require_program

CSRC = Path(__file__).parents[2] / "csrc"

PROGRAM = """
#include <jack/jack.h>
#include <string.h>
#include "jack_library.h"

_Static_assert((int)SA_JACK_INPUT == (int)JackPortIsInput, "input");
_Static_assert((int)SA_JACK_OUTPUT == (int)JackPortIsOutput, "output");
_Static_assert((int)SA_JACK_PHYSICAL == (int)JackPortIsPhysical, "physical");
_Static_assert((int)SA_JACK_NO_START_SERVER == (int)JackNoStartServer, "option");
_Static_assert((int)SA_JACK_CAPTURE == (int)JackCaptureLatency, "capture");
_Static_assert((int)SA_JACK_PLAYBACK == (int)JackPlaybackLatency, "playback");
_Static_assert(sizeof(sa_jack_latency_range) == sizeof(jack_latency_range_t), "range");
_Static_assert(offsetof(sa_jack_latency_range, max) == offsetof(jack_latency_range_t, max), "max");
_Static_assert(sizeof(jack_nframes_t) == sizeof(uint32_t), "frames");
_Static_assert(sizeof(jack_port_id_t) == sizeof(uint32_t), "port");

int main(void) {
    return strcmp(SA_JACK_AUDIO, JACK_DEFAULT_AUDIO_TYPE);
}
"""


def test_constants_and_sizes_are_the_systems(tmp_path):
    source, program = tmp_path / "jack.c", tmp_path / "jack"
    source.write_text(PROGRAM)
    compiler = require_program("cc", "gcc")
    command = [compiler, "-std=gnu11", "-Wall", "-Werror", f"-I{CSRC}", str(source)]
    subprocess.run([*command, "-o", str(program)], check=True, timeout=60)
    subprocess.run([str(program)], check=True, timeout=60)
