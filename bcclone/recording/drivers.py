"""Read and write who drove at each row of a recording: drivers.csv, next to its log.

In: the folder of a recording. Out: a `DrivenRow` for each centre image.

A person who takes over from a model begins a take-over, which ends when the model drives again. A row of the table is
written with its row of the log, so a killed program leaves both complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bcclone.recording.run_tables import Sidecar
from bcclone.system.location import Location

DRIVERS = Sidecar("drivers.csv", ("driver", "take_over"), "who drove")
MODEL, HUMAN = "model", "human"
_MOST_TAKE_OVERS = 1_000_000


@dataclass(frozen=True, slots=True)
class DrivenRow:
    """Who steered at a row of the log: MODEL or HUMAN; take_over: number of the take-over, from 1, None if none."""

    driver: str
    take_over: int | None = None

    def __post_init__(self) -> None:
        if self.driver not in (MODEL, HUMAN):
            raise ValueError(f"driver {str(self.driver)[:40]!r}, expected {MODEL} or {HUMAN}")
        number = self.take_over
        is_right = type(number) is int and 1 <= number <= _MOST_TAKE_OVERS and self.driver == HUMAN
        if number is not None and not is_right:
            expected = f"expected 1 to {_MOST_TAKE_OVERS}, of {HUMAN}"
            raise ValueError(f"take_over {repr(number)[:40]} of driver {self.driver}, {expected}")

    def row(self, image: str) -> str:
        """Return the row of drivers.csv for an image's base name."""
        return f"{image},{self.driver},{'' if self.take_over is None else self.take_over}"


BY_MODEL = DrivenRow(MODEL)


def read_drivers(folder: Location) -> Mapping[str, DrivenRow]:
    """Return who drove, by the base name of the centre image; empty if there is no drivers.csv.

    Raises UserError for a row that is not as above.
    """
    rows = {}
    for line, image, (driver, number) in DRIVERS.rows(folder):
        if number and not number.isdecimal():
            raise DRIVERS.error(folder, line, f"take_over is {number!r}, expected a whole number or nothing")
        try:
            rows[image] = DrivenRow(driver, int(number) if number else None)
        except ValueError as error:
            raise DRIVERS.error(folder, line, str(error)) from None
    return rows
