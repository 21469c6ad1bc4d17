"""Pack a wheel anew with zopfli, which deflates to 3 % less: recompress.py WHEEL INTO.

What is in the wheel stays byte for byte, in the same order, under the same dates. Folders, which
auditwheel adds as entries of their own, are left out: an installer makes them.
"""

import sys
import zipfile

import zopfli.zlib

HEADER, CHECKSUM = 2, 4  # what zlib's format has around a deflated stream (RFC 1950)


class Compressor:
    """Takes the place of zlib's, for a whole file at once."""

    def __init__(self) -> None:
        self._data = bytearray()

    def compress(self, data: bytes) -> bytes:
        self._data += data
        return b""

    def flush(self) -> bytes:
        return bytes(zopfli.zlib.compress(bytes(self._data))[HEADER:-CHECKSUM])


def files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [each for each in archive.infolist() if not each.is_dir()]


def main(source: str, target: str) -> None:
    # zipfile has no public way to choose the compressor.
    zipfile._get_compressor = lambda *_: Compressor()
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for each in files(before):
            after.writestr(each, before.read(each), zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target) as after:
        assert [each.filename for each in files(before)] == after.namelist()
        assert all(before.read(name) == after.read(name) for name in after.namelist())


if __name__ == "__main__":
    main(*sys.argv[1:])
