"""Is a wheel what it promises to be? python contents.py WHEEL ARCHITECTURE; scripts/wheel runs it.

Anything wrong ends it with an error; otherwise it says in a line what was found.
"""

import io
import re
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

from elftools.elf.elffile import ELFFile

# docs/install.md says why so many. The first notices another library, or debugging information.
MOST_BYTES_OF_LIBRARIES = 100_000
MOST_BYTES = 750_000
LICENCES = ["LICENSE", "vendor/portaudio/LICENSE.txt"]
EXTENSION = "stream_audio/_native/_core.abi3.so"
PORTAUDIO = "stream_audio/_native/libstream_audio_portaudio.so"
MAY_EXPORT = {EXTENSION: r"PyInit__core", PORTAUDIO: r"Pa_\w+"}
MAY_NEED = r"lib(c|m)\.so\.6|libpthread\.so\.0|libdl\.so\.2|ld-linux-[\w-]+\.so\.\d"  # all glibc's
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


def look_at_library(name: str, data: bytes, architecture: str) -> set[str]:
    """Check one shared object, and return what it needs."""
    elf = ELFFile(io.BytesIO(data))
    assert elf["e_machine"] == MACHINES[architecture], (name, elf["e_machine"])
    needed = set()
    for tag in elf.get_section_by_name(".dynamic").iter_tags():
        assert tag.entry.d_tag not in ("DT_RPATH", "DT_RUNPATH"), (name, tag)
        if tag.entry.d_tag == "DT_NEEDED":
            needed.add(tag.needed)
    others = [each for each in needed if not re.fullmatch(MAY_NEED, each)]
    assert not others, (name, others)
    exported = [
        symbol.name
        for symbol in elf.get_section_by_name(".dynsym").iter_symbols()
        if symbol.name and symbol.entry.st_shndx != "SHN_UNDEF"
    ]
    others = [each for each in exported if not re.fullmatch(MAY_EXPORT[name], each)]
    assert not others, (name, others)
    assert exported, f"{name} exports nothing"
    # Paths of the machine that built it; PortAudio's own in its messages are relative.
    places = re.findall(rb"/(?:tmp|home|root|Users|build)/[\w./-]+", data)
    assert not places, (name, places[:3])
    return needed


def main(wheel: Path, architecture: str) -> None:
    size = wheel.stat().st_size
    assert size <= MOST_BYTES, f"{size} bytes, {MOST_BYTES} at most"
    assert f"-cp311-abi3-manylinux2014_{architecture}." in wheel.name, wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        libraries = {name for name in names if re.search(r"\.so(\.|$)", name)}
        assert libraries == {EXTENSION, PORTAUDIO}, libraries  # no other library is bundled
        native = sum(archive.getinfo(name).compress_size for name in libraries)
        assert native <= MOST_BYTES_OF_LIBRARIES, f"libraries of {native} bytes"
        needed = set[str]()
        for name in sorted(libraries):
            needed |= look_at_library(name, archive.read(name), architecture)
        folder = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = BytesParser().parsebytes(archive.read(folder))
        assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
        assert metadata.get_all("License-File") == LICENCES
        for licence in LICENCES:
            assert folder.replace("METADATA", f"licenses/{licence}") in names, licence
        assert {"Source", "Issues"} <= {
            url.split(",")[0] for url in metadata.get_all("Project-URL", [])
        }
    print(f"{wheel.name}: {size} bytes, libraries {native}, needs {', '.join(sorted(needed))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
