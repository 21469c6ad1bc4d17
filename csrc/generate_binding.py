"""Write the C source of the binding: generate_binding.py MODULE CDEF PRELUDE OUTPUT."""

import sys
from pathlib import Path

from cffi import FFI

module, cdef, prelude, output = sys.argv[1:]
ffi = FFI()
ffi.cdef(Path(cdef).read_text(encoding="utf-8"))
ffi.set_source(module, Path(prelude).read_text(encoding="utf-8"))
ffi.emit_c_code(output)
