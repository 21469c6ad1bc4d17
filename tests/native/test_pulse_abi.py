"""csrc/pulse_abi.h says what the headers of the system say, and a copy that does not is found.

Types and prototypes are declared once more after the system's header, which C allows only if they
are compatible; sizes, offsets and constants are printed by one program built against each.
"""

import re
import subprocess
from pathlib import Path

import pytest

from support.processes import require_program

CSRC = Path(__file__).parents[2] / "csrc"
ABI = CSRC / "pulse_abi.h"
TEXT = ABI.read_text(encoding="utf-8")
CODE = re.sub(r"/\*.*?\*/", "", TEXT, flags=re.DOTALL)

STRUCTS = {
    name: re.findall(r"(\w+)(?:\[\w+\])?;", body)
    for body, name in re.findall(r"typedef struct \w+ \{([^}]*)\} (\w+);", CODE)
}
CONSTANTS = sorted(set(re.findall(r"\bPA_[A-Z_0-9]+\b", CODE)))
ENUMS = re.findall(r"typedef enum \w+ \{[^}]*\} (\w+);", CODE)
OPAQUE = re.findall(r"^typedef struct (\w+) \1;", CODE, re.MULTILINE)
SCALARS = re.findall(r"^typedef uint\d+_t pa_\w+;", CODE, re.MULTILINE)
CALLBACKS = re.findall(r"^typedef void \(\*pa_\w+\)\([^;]*;", CODE, re.MULTILINE)
FUNCTIONS = re.findall(r"^(?!typedef)[a-z][^#\n{};=]*?\bpa_\w+\([^;{}]*\);", CODE, re.MULTILINE)

# Structures of which only the beginning is read: their address is given, never their size.
BEGINNINGS = {"pa_source_info", "pa_sink_info", "pa_sink_input_info"}

SYSTEM = Path("/usr/include/pulse/pulseaudio.h")
needs_header = pytest.mark.skipif(
    not SYSTEM.exists(), reason="no pulse/pulseaudio.h here (Debian: apt-get install libpulse-dev)"
)


def compile_c(text, folder, *flags):
    source = folder / "program.c"
    source.write_text(text, encoding="utf-8")
    line = [require_program("cc", "gcc"), "-std=gnu11", "-Werror", *flags]
    command = [*line, str(source), "-o", str(folder / "program")]
    return subprocess.run(command, capture_output=True, text=True)


def figures(header, folder):
    """Return all that a program built against the header says of its sizes and constants."""
    lines = [f'#include "{header}"', "#include <stddef.h>", "#include <stdio.h>"]
    lines += ["int main(void) {"]
    lines += [f'printf("{name} %lld\\n", (long long){name});' for name in CONSTANTS]
    lines += [f'printf("{name} %zu\\n", sizeof({name}));' for name in ENUMS]
    for struct, members in STRUCTS.items():
        if struct not in BEGINNINGS:
            lines += [f'printf("{struct} %zu\\n", sizeof({struct}));']
        for member in members:
            place = f"offsetof({struct}, {member}), sizeof((({struct} *)0)->{member})"
            lines += [f'printf("{struct}.{member} %zu %zu\\n", {place});']
    lines += ["return 0; }"]
    done = compile_c("\n".join(lines), folder)
    assert done.returncode == 0, done.stderr
    return subprocess.run([folder / "program"], capture_output=True, text=True).stdout.splitlines()


def declared_again(declarations, folder):
    """Declare them after the system's header; the compiler's complaints."""
    text = "\n".join([f'#include "{SYSTEM}"', *declarations])
    return compile_c(text, folder, "-fsyntax-only").stderr


def test_the_header_is_read_whole():
    # A name that this test's own patterns miss would be held against nothing.
    found = {re.search(r"\b(pa_\w+)\(", each).group(1) for each in FUNCTIONS}
    found |= {re.search(r"\*(pa_\w+)\)", each).group(1) for each in CALLBACKS}
    found |= {re.search(r"\b(pa_\w+);", each).group(1) for each in SCALARS}
    found |= {*STRUCTS, *ENUMS, *OPAQUE}
    tags = set(re.findall(r"typedef (?:enum|struct) (pa_\w+)", CODE))
    assert set(re.findall(r"\bpa_\w+", CODE)) == found | tags
    assert len(STRUCTS) == 8


def test_each_function_that_is_declared_is_opened_and_no_other():
    table = (CSRC / "pulse_library.h").read_text(encoding="utf-8")
    opened = re.findall(r"^    F\((\w+)\)", table, re.MULTILINE)
    declared = [re.search(r"\bpa_(\w+)\(", each).group(1) for each in FUNCTIONS]
    assert sorted(opened) == sorted(declared)


@needs_header
def test_sizes_offsets_and_constants_are_the_systems(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    assert figures(ABI, tmp_path / "ours") == figures(SYSTEM, tmp_path / "theirs")


@needs_header
def test_types_and_prototypes_are_the_systems(tmp_path):
    assert declared_again([*SCALARS, *CALLBACKS, *FUNCTIONS], tmp_path) == ""


@needs_header
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("pa_stream_drop(pa_stream *stream)", "pa_stream_drop(pa_context *stream)"),
        ("typedef uint64_t pa_usec_t;", "typedef uint32_t pa_usec_t;"),
        ("const void **data, size_t *bytes", "const void **data, int *bytes"),
    ],
)
def test_another_type_is_found(right, wrong, tmp_path):
    declarations = [*SCALARS, *CALLBACKS, *FUNCTIONS]
    planted = [line.replace(right, wrong) for line in declarations]
    assert planted != declarations
    assert "error:" in declared_again(planted, tmp_path)


@needs_header
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("pa_usec_t configured_latency;", "uint32_t configured_latency;"),
        ("PA_STREAM_DONT_MOVE = 0x200", "PA_STREAM_DONT_MOVE = 0x400"),
        ("uint32_t prebuf;\n    uint32_t minreq;", "uint32_t minreq;\n    uint32_t prebuf;"),
    ],
)
def test_another_layout_or_constant_is_found(right, wrong, tmp_path):
    assert right in TEXT
    planted = tmp_path / "planted.h"
    planted.write_text(TEXT.replace(right, wrong), encoding="utf-8")
    assert figures(planted, tmp_path) != figures(SYSTEM, tmp_path)


def test_no_header_of_pulseaudio_is_needed_to_build():
    sources = [*CSRC.glob("*.[ch]"), *Path(__file__).parents[1].rglob("*.[ch]")]
    assert len(sources) > 50
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert not re.search(r"#\s*include\s*<pulse/", text), source
