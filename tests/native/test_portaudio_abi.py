"""csrc/portaudio_abi.h says what the header of the system says, and a copy that does not is found.

Types and prototypes are declared once more after the system's header, which C allows only if they
are compatible; sizes, offsets and constants are printed by one program built against each.
"""

import re
import subprocess
from pathlib import Path

import pytest

from support.processes import require_program

ABI = Path(__file__).parents[2] / "csrc" / "portaudio_abi.h"
TEXT = ABI.read_text(encoding="utf-8")
CODE = re.sub(r"/\*.*?\*/", "", TEXT, flags=re.DOTALL)

STRUCTS = {
    name: re.findall(r"(\w+);", body)
    for body, name in re.findall(r"typedef struct \w+ \{([^}]*)\} (\w+);", CODE)
}
CONSTANTS = sorted(set(re.findall(r"\bpa[A-Z]\w+", CODE)))
SCALARS = re.findall(r"^typedef (?:unsigned )?(?:int|long|double|void) Pa\w+;", CODE, re.MULTILINE)
FUNCTIONS = re.findall(r"^[^#\n}][^;{}]*?\bPa_\w+\([^;]*\);", CODE, re.MULTILINE)
CALLBACK = re.findall(r"^typedef int PaStreamCallback\([^;]*;", CODE, re.MULTILINE)

SYSTEM = Path("/usr/include/portaudio.h")
needs_header = pytest.mark.skipif(
    not SYSTEM.exists(), reason="no portaudio.h here (Debian: apt-get install portaudio19-dev)"
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
    lines += [f'printf("{name} %ld\\n", (long){name});' for name in CONSTANTS]
    for struct, members in STRUCTS.items():
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
    # What the core uses of PortAudio is declared nowhere else, so a name that this test's own
    # patterns miss would be held against nothing.
    assert len(STRUCTS) == 6
    assert len(FUNCTIONS) == 16
    assert len(CALLBACK) == 1
    declared = {*STRUCTS, *CONSTANTS, "PaStreamCallback", "PaHostApiTypeId"}
    declared |= set(re.findall(r"\bPa\w+(?=;)", " ".join(SCALARS)))
    declared |= set(re.findall(r"\bPa_\w+", CODE))
    assert set(re.findall(r"\b(?:Pa|pa)[A-Z_]\w+", CODE)) <= declared


@needs_header
def test_sizes_offsets_and_constants_are_the_systems(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    ours = figures(ABI, tmp_path / "ours")
    assert ours == figures(SYSTEM, tmp_path / "theirs")
    assert len(ours) == len(CONSTANTS) + sum(1 + len(members) for members in STRUCTS.values())


@needs_header
def test_types_and_prototypes_are_the_systems(tmp_path):
    assert declared_again([*SCALARS, *CALLBACK, *FUNCTIONS], tmp_path) == ""


@needs_header
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Pa_StopStream(PaStream *stream)", "Pa_StopStream(PaStream **stream)"),
        ("typedef unsigned long PaStreamFlags;", "typedef unsigned int PaStreamFlags;"),
        ("unsigned long frameCount", "unsigned int frameCount"),
    ],
)
def test_another_type_is_found(right, wrong, tmp_path):
    declarations = [*SCALARS, *CALLBACK, *FUNCTIONS]
    planted = [line.replace(right, wrong) for line in declarations]
    assert planted != declarations
    assert "error:" in declared_again(planted, tmp_path)


@needs_header
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("long errorCode;", "int errorCode;"),
        ("paJACK = 12", "paJACK = 13"),
        (
            "int maxInputChannels;\n    int maxOutputChannels;",
            "int maxOutputChannels;\n    int maxInputChannels;",
        ),
    ],
)
def test_another_layout_or_constant_is_found(right, wrong, tmp_path):
    assert right in TEXT
    planted = tmp_path / "planted.h"
    planted.write_text(TEXT.replace(right, wrong), encoding="utf-8")
    assert figures(planted, tmp_path) != figures(SYSTEM, tmp_path)


def test_no_header_of_portaudio_is_needed_to_build():
    sources = [*ABI.parent.glob("*.[ch]"), *Path(__file__).parents[1].rglob("*.[ch]")]
    assert len(sources) > 50
    for source in sources:
        assert not re.search(r"#\s*include\s*<portaudio", source.read_text(encoding="utf-8")), (
            source
        )
