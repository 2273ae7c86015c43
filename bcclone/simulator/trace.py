"""Write trace.csv into the run folder that a drive server recorded: where the simulated car was at each frame.

The server names frames by its own clock, but keeps their bytes, so each frame is found by the digest of its JPEG.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bcclone.atomic import write_text
from bcclone.recording.run_tables import TRACE, TracePoint


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame of the simulated world: the digest of its JPEG bytes, and where the car was."""

    digest: bytes
    point: TracePoint


def digest_of(jpeg: bytes) -> bytes:
    """Return the digest by which a frame is found."""
    return hashlib.blake2b(jpeg, digest_size=8).digest()


def write_trace(folder: Path, shown: Sequence[ShownFrame]) -> int:
    """Write the trace of a run folder; return how many of its frames were found among the shown ones."""
    rows = [point.row(name) for name, point in _matched(folder, shown)]
    write_text(folder / TRACE.name, TRACE.header + "".join(f"{row}\n" for row in rows))
    return len(rows)


def _matched(folder: Path, shown: Sequence[ShownFrame]) -> Iterator[tuple[str, TracePoint]]:
    """Yield the name of each frame and where the car was.

    Frames with the same bytes, as of a car that stands still, are matched in their order.
    """
    indices: dict[bytes, deque[int]] = defaultdict(deque)
    for index, frame in enumerate(shown):
        indices[frame.digest].append(index)
    latest = -1
    for path in sorted(folder.glob("*.jpg")):
        candidates = indices[digest_of(path.read_bytes())]
        while candidates and candidates[0] <= latest:
            candidates.popleft()
        if candidates:
            latest = candidates.popleft()
            yield path.name, shown[latest].point
