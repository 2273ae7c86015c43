"""Frames that a simulated world showed -> trace.csv in the run folder that a drive server recorded of them.

The server names a frame by its own clock. It keeps the bytes that it was sent, so a frame is known by them.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bcclone.atomic import write_text
from bcclone.recording.run_tables import TRACE, TracePoint


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame that was shown: the digest of its JPEG bytes, and where the car was."""

    digest: bytes
    point: TracePoint


def digest_of(jpeg: bytes) -> bytes:
    """Return what tells the bytes of one frame from another's."""
    return hashlib.blake2b(jpeg, digest_size=8).digest()


def write_trace(folder: Path, shown: Sequence[Shown]) -> int:
    """Write the trace of a run folder's frames, and return how many of them were shown by this world."""
    rows = [point.row(name) for name, point in _matched(folder, shown)]
    write_text(folder / TRACE.name, TRACE.header + "".join(f"{row}\n" for row in rows))
    return len(rows)


def _matched(folder: Path, shown: Sequence[Shown]) -> Iterator[tuple[str, TracePoint]]:
    """Yield names and places; of frames with the same bytes, as of a car that stands, the first comes first."""
    places: dict[bytes, deque[int]] = defaultdict(deque)
    for place, one in enumerate(shown):
        places[one.digest].append(place)
    latest = -1
    for path in sorted(folder.glob("*.jpg")):
        candidates = places[digest_of(path.read_bytes())]
        while candidates and candidates[0] <= latest:
            candidates.popleft()
        if candidates:
            latest = candidates.popleft()
            yield path.name, shown[latest].point
