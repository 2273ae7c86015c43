"""Read the plain arrays of a NumPy archive (.npz) that somebody else may have made.

np.load() would evaluate the text before each array and ask for as much memory as it claims. Here the text must be as
NumPy writes it, and each array as large as its bytes.
"""

import io
import math
import re
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

_MOST_ARRAYS = 1000
_MOST_BYTES = 1 << 28  # unpacked
_ENCRYPTED = 1
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<kind>\|[biu]1|<[iuf][248])', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,9}(?:, ?|(?=\))))*+)\), \} *\n",
    re.DOTALL,
)


def read_arrays(content: bytes) -> dict[str, Any]:
    """Return the arrays of an archive by name; raises ValueError for any other content."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_ARRAYS or sum(entry.file_size for entry in entries) > _MOST_BYTES:
                raise ValueError(f"it holds more than {_MOST_ARRAYS} arrays, or {_MOST_BYTES >> 20} MiB")
            return {entry.filename.removesuffix(".npy"): _array(_member(archive, entry)) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError) as error:
        raise ValueError(str(error) or "a part of it is missing") from None


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return what a member holds, never more than its size in the list of members."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & _ENCRYPTED:
        raise ValueError(f"{entry.filename[:40]!r} is packed in another way than NumPy does")
    with archive.open(entry) as stream:
        return stream.read(_MOST_BYTES)


def _array(content: bytes) -> Any:
    """Return an array of numbers in NumPy's format, version 1.0; raises ValueError for any other content."""
    header = _HEADER.match(content)
    if header is None:
        raise ValueError("an array of another form than plain numbers")
    shape = tuple(int(length) for length in header["shape"].decode().replace(",", " ").split())
    kind = np.dtype(header["kind"].decode())
    if math.prod(shape) * kind.itemsize != len(content) - header.end():
        raise ValueError(f"an array of the shape {shape}, but {len(content) - header.end()} bytes")
    values = np.frombuffer(content, kind, offset=header.end())
    return values.reshape(shape, order="F" if header["fortran"] == b"True" else "C")
