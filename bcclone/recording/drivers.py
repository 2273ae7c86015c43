"""Read and write who drove at each row of a recording: drivers.csv, next to its log.

In: the folder of a recording. Out: a `DrivenRow` for each centre image.

A person who takes over from a model begins a take-over, which ends when the model drives again. A row of the table is
written with its row of the log, so a killed program leaves both complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bcclone.recording.run_tables import Sidecar
from bcclone.system.codec import whole_number
from bcclone.system.location import Location

DRIVERS = Sidecar("drivers.csv", ("driver", "take_over"), "who drove")
MODEL, HUMAN = "model", "human"
_TAKE_OVERS = 1_000_000  # at most


@dataclass(frozen=True, slots=True)
class DrivenRow:
    """Who steered at a row of the log: MODEL or HUMAN; take_over: number of the take-over, from 1, None if none."""

    driver: str
    take_over: int | None = None

    def __post_init__(self) -> None:
        if self.driver not in (MODEL, HUMAN):
            raise ValueError(f"driver {str(self.driver)[:40]!r}, expected {MODEL} or {HUMAN}")
        if self.take_over is not None:
            whole_number("take_over", self.take_over, 1, _TAKE_OVERS)
            if self.driver == MODEL:
                raise ValueError(f"take_over {self.take_over} of a {MODEL}, expected nothing")

    def row(self, image: str) -> str:
        """Return the row of drivers.csv for an image's base name."""
        return f"{image},{self.driver},{'' if self.take_over is None else self.take_over}"


BY_MODEL = DrivenRow(MODEL)


def read_drivers(folder: Location) -> Mapping[str, DrivenRow]:
    """Return who drove, by the base name of the centre image; empty if there is no drivers.csv.

    Raises UserError for a row that is not as above.
    """

    def driven(cells: Mapping[str, str]) -> DrivenRow:
        number = cells["take_over"]
        return DrivenRow(cells["driver"], whole_number("take_over", number, 1, _TAKE_OVERS) if number else None)

    return DRIVERS.read(folder, driven)
