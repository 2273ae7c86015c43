"""What to record next: the states of a map that do not come back -> five kinds of places at most, and commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.dataset.diagnosis.advice import RADII_M
from bcclone.lab.margin.margins import MarginMap
from bcclone.pictures.report import shown_command
from bcclone.system.json_values import to_json

_LINES = 5
_FEW = 0.002  # of the states, which need no recording
_SECONDS_A_STRETCH, _ENOUGH_SECONDS = 10, 60
_FROM_EDGE_M = 0.5
_ONE_STRETCH_M = 30.0  # places nearer to each other are one stretch
_SEEN_AHEAD_M = 20.0  # how far ahead a bridge changes what the car sees

_Kind = tuple[str, int]


@dataclass(frozen=True)
class RecordNext:
    """What to record.

    seconds: how much; bend: "left bends", "right bends", "straights" or "the bridge"; radii_m: the smallest and the
    largest of bends; side: on which the car should begin, "left" or "right"; share_percent: of the states that do not
    come back; start_m, start_offset_m: the worst place, from the start of the lap, and the offset to begin at.
    """

    seconds: int
    bend: str
    radii_m: tuple[float, float] | None
    side: str
    share_percent: float
    start_m: float
    start_offset_m: float

    @property
    def text(self) -> str:
        radii = ""
        if self.radii_m:
            low, high = (round(each) for each in self.radii_m)
            radii = f" of {low} m" if low == high else f" of {low} to {high} m"
        return f"{self.seconds} s: {self.bend}{radii}, from the {self.side} edge"

    def command(self, track: str, reverse: bool) -> str:
        """Return the command that opens the simulator at the worst place."""
        road = ["--road", track] + (["--reverse"] if reverse else [])
        return shown_command("play", *road, f"--start-m={self.start_m:g}", f"--start-offset-m={self.start_offset_m:g}")


def record_next(found: MarginMap) -> tuple[RecordNext, ...]:
    """Return the kinds of places where most states within 2 m and 10 degrees do not come back, the worst first.

    There is nothing to record where nearly all come back.
    """
    lost = found.box & ~found.returning.returns
    if lost.sum() < _FEW * found.box.sum():
        return ()
    offsets = found.returning.grid.offsets_m
    counts = np.stack([lost[:, offsets < -1e-9].sum(axis=(1, 2)), lost[:, offsets > 1e-9].sum(axis=(1, 2))], axis=1)
    groups: dict[tuple[_Kind, int], dict[int, int]] = {}
    for place, side in np.argwhere(counts).tolist():
        groups.setdefault((_kind(found, place), side), {})[place] = int(counts[place, side])
    total = int(counts.sum())
    lines = [_line(found, kind[0], side, group, total) for (kind, side), group in groups.items()]
    return tuple(sorted(lines, key=lambda line: -line.share_percent)[:_LINES])


Advice = Mapping[str, Sequence[RecordNext]]  # of each model


def figures_of(maps: Mapping[str, MarginMap], advice: Advice) -> dict[str, Any]:
    """Return the figures of maps, and what to record next, as JSON values."""
    return {name: {**one.figures(), "record_next": to_json(advice[name])} for name, one in maps.items()}


def advice_lines(advice: Advice, track: str, reverse: bool) -> list[str]:
    """Return the lines to print: for each model what to record, with the command that opens the place."""
    lines = []
    for name, kinds in advice.items():
        lines += ["", f"{name}, what to record next:{'' if kinds else ' nothing here, nearly every state comes back'}"]
        lines += [text for one in kinds for text in (f"  {one.text}", f"    {one.command(track, reverse)}")]
    return lines


def _kind(found: MarginMap, place: int) -> _Kind:
    """Return the kind of a place: its name, and which of the radii its bend has."""
    along_m = float(found.returning.grid.places_m[place])
    if any(found.track.road.on_bridge(along_m + ahead_m) for ahead_m in (0.0, _SEEN_AHEAD_M)):
        return "the bridge", 0
    bend = found.bend(float(found.along_m[place]))
    if abs(bend) < 1 / RADII_M[-1]:
        return "straights", 0
    return "right bends" if bend > 0 else "left bends", int(np.searchsorted(RADII_M, 1 / abs(bend)))


def _line(found: MarginMap, kind: str, side: int, counts: Mapping[int, int], total: int) -> RecordNext:
    """Return a kind of places. side: 0 left, 1 right; counts: place -> how many of its states do not come back."""
    places, along = list(counts), found.along_m
    worst = max(places, key=counts.__getitem__)
    limit_m = float(found.limits_m[worst])
    before = [
        found.track.apart(float(along[place]), float(along[last]))
        for last, place in zip(places, [places[-1], *places[:-1]], strict=True)
    ]
    stretches = max(sum(abs(metres) > _ONE_STRETCH_M for metres in before), 1)
    radii = sorted(abs(1 / found.bend(float(along[place]))) for place in places) if kind.endswith("bends") else []
    return RecordNext(
        seconds=min(_SECONDS_A_STRETCH * stretches, _ENOUGH_SECONDS),
        bend=kind,
        radii_m=(round(radii[0], 1), round(radii[-1], 1)) if radii else None,
        side=("left", "right")[side],
        share_percent=round(100 * sum(counts.values()) / total, 1),
        start_m=round(float(along[worst]), 1),
        start_offset_m=round((limit_m - _FROM_EDGE_M) * (-1, 1)[side], 2),
    )
