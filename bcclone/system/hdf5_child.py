"""Read files in a process of its own, with limits of time and memory: a damaged one can crash or hang the HDF5 library.

In: paths, or the known parts of files that are elsewhere. Out: for each, an `Answer` of plain data.

The process is a module that is run as a program and calls serve(). It answers any number of questions, one after the
other. A message is eight bytes with the length of its head, the head as JSON, and then bytes: of the parts in a
question, of the tables in an answer.
"""

import contextlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from bcclone.system.child_process import interrupts_kept_from_children
from bcclone.system.errors import first_line
from bcclone.system.reading import check_regular, parse_json

Table: TypeAlias = npt.NDArray[Any] | list[str]  # a list of texts without NULs

_WALL_SECONDS, _BYTES_PER_SECOND = 60.0, 1 << 24  # for a disk that does not respond
_CPU_SECONDS, _BYTES_PER_CPU_SECOND = 0.4, 1 << 26  # several times what reading takes
_MEMORY, _MEMORY_PER_BYTE = 1 << 31, 4  # addresses
_MOST_COUNTED = 1 << 32  # bytes of a file that raise the limits; the others are frames
_LONGEST_HEAD = 1 << 25  # bytes
_TEXTS = "texts"
_DAMAGED = "its structure is damaged: the process that read it"


class Refused(ValueError):
    """A file that is not read; the text is the reason, without the path."""


class Ended(Refused):
    """The process crashed, took too long, or sent something else than an answer."""


@dataclass(frozen=True)
class Parts:
    """The known parts of a file of `size` bytes: their start and end, and their bytes.

    state: a number that differs after the file was written again.
    """

    size: int
    blocks: Mapping[tuple[int, int], bytes]
    state: int = 0

    def __post_init__(self) -> None:
        for (start, end), block in self.blocks.items():
            if not 0 <= start <= end <= self.size or len(block) != end - start:
                raise ValueError(f"{len(block)} bytes from {start} to {end} of a file of {self.size} bytes")


@dataclass(frozen=True)
class Answer:
    """What a file holds. head: a value of JSON; tables: numbers and texts, in an order that the head tells."""

    head: Any
    tables: Sequence[Table]


class Hdf5Process:
    """A process that reads files. module: run as a program, it calls serve(). A context manager.

    The process starts with the first file that can be opened, and ends with the block, or with this process.
    """

    def __init__(self, module: str) -> None:
        self._module, self._is_started = module, False

    def _start(self) -> None:
        paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        with interrupts_kept_from_children():
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module],  # -P: modules in the current folder must not replace ours
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
            )
        self._in = cast(io.FileIO, self._process.stdin)
        self._out = io.BufferedReader(cast(io.FileIO, self._process.stdout))
        self._is_started = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_started:
            return
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()

    def read(self, file: Path | Parts, question: Any = None) -> Answer:
        """Return what the process reads from a file; raises Refused, and OSError for a file that cannot be opened.

        question: a value of JSON for the function that reads.
        """
        if isinstance(file, Path):
            check_regular(file)
        if not self._is_started:
            self._start()
        size = _counted_bytes(file)
        clock = threading.Timer(_WALL_SECONDS + size / _BYTES_PER_SECOND, self._process.kill)
        clock.start()
        try:
            self._ask(file, question)
            return _receive(self._out, size)
        except Refused:
            raise
        except (EOFError, OSError):
            raise Ended(f"{_DAMAGED} {_ending(self._process.wait())}") from None
        except (ValueError, KeyError, TypeError) as error:
            self._process.kill()  # what else it would send belongs to no question
            raise Ended(f"{_DAMAGED} sent what is no answer: {first_line(error)}") from None
        finally:
            clock.cancel()

    def _ask(self, file: Path | Parts, question: Any) -> None:
        blocks: Mapping[tuple[int, int], bytes] = {}
        head = {"question": question}
        if isinstance(file, Parts):
            head |= {"size": file.size, "parts": list(file.blocks)}
            blocks = file.blocks
        else:
            head |= {"path": str(file.absolute())}
        _send(self._in, head, list(blocks.values()))


def _ending(code: int) -> str:
    """Describe how a process ended."""
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return "took too long" if name in ("SIGPROF", "SIGKILL") else f"was ended by {name}"


def _counted_bytes(file: Path | Parts) -> int:
    """Return how many bytes of a file raise the limits: those on the disk, without holes, and at most 4 GiB."""
    if isinstance(file, Parts):
        return min(sum(map(len, file.blocks.values())), _MOST_COUNTED)
    status = file.stat()
    return min(status.st_size, getattr(status, "st_blocks", status.st_size) * 512, _MOST_COUNTED)


def _receive(stream: IO[bytes], size: int) -> Answer:
    """Return the answer that the process sends; raises Refused, EOFError, ValueError, KeyError or TypeError."""
    head = _receive_head(stream)
    if "refused" in head:
        raise Refused(str(head["refused"]))
    if sum(length for *_, length in head["tables"]) > _most_memory(size):
        raise ValueError("more than the process can have read")
    return Answer(head["head"], [_receive_table(stream, *each) for each in head["tables"]])


def _receive_table(stream: IO[bytes], kind: Any, shape: Any, length: int) -> Table:
    content = bytearray(length)
    if stream.readinto(content) != length:  # type: ignore[attr-defined]
        raise EOFError
    if kind == _TEXTS:
        (count,) = shape
        texts = content.decode().split("\0") if count else []
        if len(texts) != count:
            raise ValueError("not as many texts as stated")
        return texts
    described: Any = kind if isinstance(kind, str) else [tuple(column) for column in kind]
    dtype: np.dtype[Any] = np.lib.format.descr_to_dtype(described)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != length:
        raise ValueError("not the numbers that are stated")
    return np.ndarray(tuple(shape), dtype, content)


# ---- both ends


def _send(stream: IO[bytes], head: Any, blocks: Sequence[Any]) -> None:
    text = json.dumps(head).encode()
    for block in (len(text).to_bytes(8, "little") + text, *blocks):
        view = memoryview(block).cast("B")
        while view:  # a pipe may take a part
            view = view[stream.write(view) :]


def _receive_head(stream: IO[bytes]) -> Any:
    length = int.from_bytes(_exactly(stream, 8), "little")
    if length > _LONGEST_HEAD:
        raise ValueError("a head too long")
    return parse_json(_exactly(stream, length))


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def _most_memory(size: int) -> int:
    return _MEMORY + _MEMORY_PER_BYTE * size


# ---- the process


def serve(read: Callable[[Any, Any], tuple[Any, Sequence[Table]]]) -> None:
    """Answer questions until there are no more.

    read(file, question) returns the head and the tables of an answer. file: a path, or an open file of known parts. It
    may raise any error; the text of Refused is sent as it is, of others the first line.
    """
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(EOFError):
        while True:
            head = _receive_head(sys.stdin.buffer)
            blocks = {(start, end): _exactly(sys.stdin.buffer, end - start) for start, end in head.get("parts", ())}
            file = Path(head["path"]) if "path" in head else Parts(head["size"], blocks)
            _send(sys.stdout.buffer, *_answered(read, file, head["question"]))
            sys.stdout.buffer.flush()


def _answered(read: Callable[..., tuple[Any, Sequence[Table]]], file: Path | Parts, question: Any) -> tuple[Any, Any]:
    """Return the head and the bytes of an answer, or of a refusal."""
    try:
        with _limited(_counted_bytes(file)):
            head, tables = read(file if isinstance(file, Path) else _PartsFile(file), question)
            packed = [_pack(table) for table in tables]
    except Refused as error:
        return {"refused": str(error)}, ()
    except Exception as error:  # damaged files cause all kinds in h5py and zipfile
        return {"refused": getattr(error, "strerror", None) or first_line(error)}, ()
    kinds = [(kind, shape, len(content)) for kind, shape, content in packed]
    return {"head": head, "tables": kinds}, [content for *_, content in packed]


def _pack(table: Table) -> tuple[Any, Any, memoryview]:
    """Return the type, the shape and the bytes of a table."""
    if isinstance(table, list):
        return _TEXTS, [len(table)], memoryview("\0".join(table).encode())
    content: Any = np.ascontiguousarray(table).reshape(-1).view(np.uint8)
    return np.lib.format.dtype_to_descr(table.dtype), table.shape, memoryview(content)


@contextlib.contextmanager
def _limited(size: int) -> Iterator[None]:
    """Limit the memory and the processor time of this process within the block, by the bytes of the file."""
    if sys.platform == "win32":  # the clock of the parent process alone ends it
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [limit for limit in (soft, hard, _most_memory(size)) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    # processor time, so that a busy machine does not matter; SIGPROF ends the process even within the library
    signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS + size / _BYTES_PER_CPU_SECOND)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class _PartsFile(io.RawIOBase):
    """An open file, of which only the known parts can be read; other bytes raise OSError."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._position = parts, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._parts.size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer).cast("B")
        first, last = self._position, min(self._position + len(into), self._parts.size)
        if last <= first:
            return 0
        for (start, end), block in self._parts.blocks.items():
            if start <= first and last <= end:
                into[: last - first] = memoryview(block)[first - start : last - start]
                self._position = last
                return last - first
        raise OSError(f"bytes {first} to {last} are not among its tables")
