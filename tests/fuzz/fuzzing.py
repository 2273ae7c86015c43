"""Fuzz one reader: change a file, read it in a process of its own with limits, and count how it
ended.

In: a Reader, a seed and a number of seconds. Out: a Count. A try is held when the reader returned
or raised an error that a command turns into a message. All others are reported with their number,
which repeats them with the same seed: an internal error, a crash of the process, more than 20
seconds, or more than 1 GB of further memory.
"""

import io
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bcclone.cli import INTERNAL_ERROR, describe
from tests.fuzz.mutations import mutate
from tests.fuzz.readers import Failed, Reader

_SECONDS_PER_TRY = 20
_MORE_MEMORY_KB = 1 << 20
_TRIES_PER_PROCESS = 500


@dataclass
class Count:
    """tries: all; read: those that were read; refused: those that ended in an error for the user.

    The others did not hold: kind of failure -> the first tries that failed so, with the reason.
    """

    reader: str
    tries: int = 0
    read: int = 0
    refused: int = 0
    failures: dict[str, list[str]] = field(default_factory=dict)

    @property
    def held(self):
        return self.read + self.refused

    def as_json(self):
        return asdict(self) | {"held": self.held}


def fuzz(reader: Reader, seed: int, seconds: float = 1e9, most: int = 10**9) -> Count:
    """Return the count of a reader after some seconds, or so many tries."""
    count = Count(reader.name)
    with tempfile.TemporaryDirectory(prefix="bcclone-fuzz-") as temporary:
        valid = Path(temporary) / "valid"
        valid.mkdir()
        lines = _in_a_process(lambda report: _make(reader, valid, report))
        if lines != ["read"]:
            raise RuntimeError(
                f"{reader.name}: the files to change cannot be made or read as they are: {lines}"
            )
        until = time.monotonic() + seconds
        while time.monotonic() < until and count.tries < most:
            first = count.tries
            last = min(count.tries + _TRIES_PER_PROCESS, most)
            lines = _in_a_process(
                lambda report, a=first, b=last: _try_all(reader, valid, seed, a, b, until, report)
            )
            if len(lines) < last - first and time.monotonic() < until and lines[-1:] != ["end"]:
                # the process ended within this try
                lines.append(f"crash-or-hang try {first + len(lines)}")
            for kind, _, detail in (line.partition(" ") for line in lines if line != "end"):
                count.tries += 1
                count.read += kind == "read"
                count.refused += kind == "refused"
                if kind not in ("read", "refused"):
                    count.failures.setdefault(kind, []).append(detail)
    return count


def _in_a_process(work):
    """Run work(report) in a forked process; return the lines that it reported until it ended,
    however it ended.
    """
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries write of each damaged image
        try:
            with os.fdopen(writing, "w", buffering=1) as out:
                work(lambda line: out.write(line.replace("\n", " ") + "\n"))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        lines = answers.read().splitlines()
    os.waitpid(child, 0)
    return lines


def _make(reader, valid, report):
    """Make the valid files and read them once."""
    messages = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(messages):
        reader.make(valid)
    if "error: " in messages.getvalue():
        report(messages.getvalue())
        return
    out = valid.with_name("out")
    out.mkdir()
    report(_outcome(reader, valid, out))


def _try_all(reader, valid, seed, first, last, until, report):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process also within a library
    files = sorted(
        {path for pattern in reader.files for path in valid.glob(pattern) if path.is_file()}
    )
    out = valid.with_name("out")
    out.mkdir(exist_ok=True)
    _outcome(reader, valid, out)  # imports what it needs, which does not count as a try
    at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(first, last):
        if time.monotonic() >= until:
            break
        draw = random.Random(f"{reader.name} {seed} {number}")
        path = draw.choice(files)
        outcome = _try(reader, valid, path, draw)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first
        if grown > _MORE_MEMORY_KB and outcome.startswith(("read", "refused")):
            outcome = f"memory try {number}: {grown >> 10} MiB"
        if not outcome.startswith(("read", "refused")):
            outcome += f" ({path.relative_to(valid)}, try {number})"
        report(outcome)
        if grown > _MORE_MEMORY_KB:
            break
    report("end")


def _try(reader, valid, path, draw):
    """Change a file, read all, and put the file back; return the outcome."""
    content = path.read_bytes()
    out = valid.with_name("out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    path.write_bytes(mutate(content, path.name, draw))
    signal.alarm(_SECONDS_PER_TRY)
    try:
        return _outcome(reader, valid, out)
    finally:
        signal.alarm(0)
        path.write_bytes(content)


def _outcome(reader, folder, out):
    messages = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(messages):
            reader.read(folder, out)
    except Failed as error:
        return f"internal-error {error}: {messages.getvalue()[-300:]}"
    except Exception as error:
        if describe(error)[1] == INTERNAL_ERROR:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            return f"internal-error {type(error).__name__}: {str(error)[:120]} at {place}"
        return f"refused {error}"
    text = messages.getvalue()
    if "Traceback" in text:
        return f"internal-error traceback: {text[-300:]}"
    return f"refused {text[-200:]}" if "error: " in text else "read"
