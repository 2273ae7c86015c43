"""A recording as a world: its frames come one after the other, whatever the answers are."""

from pathlib import Path

from bcclone.errors import UserError
from bcclone.recording import ImageIndex, read_log
from bcclone.simulator.client import CarState

_FULL_LOCK_DEGREES = 25.0


class Replay:
    """Shows the centre images of a recording, round and round until `frames` have been shown.

    It answers no control; answers are collected in `controls` as (steering, throttle).
    """

    def __init__(self, log_path: Path, frames: int = 0) -> None:
        index = ImageIndex(log_path)
        rows = read_log(log_path).rows.to_dict("records")
        self._rows = [row for row in rows if index.find(row["center"])]
        if not self._rows:
            raise UserError(f"{log_path}: none of its images is in {index.folders[0]} or beside the log")
        self._index = index
        self._left, self._next = frames or len(self._rows), 0
        self.controls: list[tuple[float, float]] = []

    def look(self) -> CarState | None:
        """Return the next row of the recording as the car's state."""
        if self._left == 0:
            return None
        row = self._rows[self._next % len(self._rows)]
        self._next, self._left = self._next + 1, self._left - 1
        jpeg = Path(self._index.find(row["center"]) or "").read_bytes()
        return CarState(row["steering"] * _FULL_LOCK_DEGREES, row["throttle"], row["speed_mph"], jpeg)

    def steer(self, steering: float, throttle: float) -> None:
        """Keep the answer."""
        self.controls.append((steering, throttle))
