"""Dataclasses as JSON values: they come back equal, and anything else is refused with its place."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from bcclone.system.location import Location, parse_location
from bcclone.system.values import from_json, json_text, to_json


@dataclass(frozen=True)
class Point:
    x_m: float
    y_m: float = 0.0

    def __post_init__(self) -> None:
        if self.x_m < 0:
            raise ValueError(f"x {self.x_m:g} m, expected 0 or more")


@dataclass(frozen=True)
class Drive:
    name: str
    points: tuple[Point, ...]
    span: tuple[int, float]
    mode: Literal["slow", "stop"] = "slow"
    folder: Path | None = None
    source: Location = Path()
    complete: bool = False
    by_limit: Mapping[float, Point] = field(default_factory=dict)
    parts: Sequence["Drive"] = ()
    notes: list[str] = field(default_factory=list)
    others: Mapping[str, Any] = field(default_factory=dict)
    limit: int | str = 0


DRIVE = Drive(
    "lake", (Point(1.0, 2.5), Point(0.1)), (3, 0.25), "stop", Path("a/b"), parse_location("memory://a/b"),
    complete=True, by_limit={1.5: Point(2.0)}, parts=(Drive("part", (), (0, 1.0)),), notes=["wet"],
    others={"seed": [1, None]}, limit="none",
)  # fmt: skip


def test_a_value_comes_back_equal_from_the_text_of_a_file() -> None:
    assert from_json(Drive, json.loads(json_text(DRIVE, indent=1))) == DRIVE
    stored = to_json(DRIVE)
    assert list(stored)[:4] == ["name", "points", "span", "mode"]
    assert stored["points"][0] == {"x_m": 1.0, "y_m": 2.5}
    assert (stored["mode"], stored["folder"], stored["source"]) == ("stop", "a/b", "memory://a/b")
    assert stored["by_limit"] == {"1.5": {"x_m": 2.0, "y_m": 0.0}}
    assert from_json(tuple[Point, ...], to_json(DRIVE.points)) == DRIVE.points
    point = from_json(Point, json.loads('{"x_m": 3, "y_m": NaN}'))
    assert isinstance(point.x_m, float)
    assert math.isnan(point.y_m)
    with pytest.raises(TypeError, match="no JSON value"):
        to_json({"images": np.zeros(2)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name: 3, expected a text"),
        ({"points": [{"x_m": True}]}, r"points\[0\].x_m: True, expected a number"),
        ({"points": [{"x_m": -1}]}, r"points\[0\]: x -1 m, expected 0 or more"),
        ({"points": [{}]}, r"points\[0\].x_m is missing"),
        ({"points": {}}, "points: {}, expected any number of values: Point"),
        ({"points": [7]}, r"points\[0\]: 7, expected Point"),
        ({"span": [1]}, r"span: \[1\], expected 2 values: a whole number, a number"),
        ({"span": [1.5, 1]}, r"span\[0\]: 1.5, expected a whole number"),
        ({"mode": "go"}, "mode: 'go', expected one of slow, stop"),
        ({"complete": "no"}, "complete: 'no', expected true or false"),
        ({"folder": 5}, "folder: 5, expected a path"),
        ({"by_limit": {"far": {"x_m": 1}}}, "by_limit: 'far', expected a number as key"),
        ({"speed": 3}, "speed: unknown, expected name, points"),
    ],
)
def test_anything_else_is_refused_with_its_place(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Drive, to_json(DRIVE) | change)
