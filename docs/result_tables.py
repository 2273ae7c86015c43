"""Write the tables of figures in docs/ and writeup_images/ anew from docs/results/*.json.

    python docs/result_tables.py

A table follows `<!-- table: NAME -->`; the text around it is written by hand.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import any_camera
from networks import COMPARED, compare

ROOT = Path(__file__).parent.parent
PAGES = [
    page
    for page in sorted(ROOT.glob("docs/*/*.md"))
    if "<!-- table: " in page.read_text(encoding="utf-8")
]
PAGES.append(ROOT / "writeup_images" / "README.md")
SUITE_ROWS = ("lake-30", "lake-reverse-30", "latency-200", "shadows", "no-lines", "perturbations")


def main() -> None:
    """Update the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(with_tables(text), encoding="utf-8")


def results(name: str) -> Any:
    """Return the content of docs/results/NAME.json."""
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def with_tables(page: str) -> str:
    """Return the page with every table written anew."""

    def updated(found: re.Match[str]) -> str:
        mark, name = found.groups()
        return mark + table(name)

    return re.sub(r"(<!-- table: ([\w-]+) -->\n)(?:\|.*\n)*", updated, page)


def table(name: str) -> str:
    """Return a table in Markdown."""
    tables: dict[str, Callable[[], list[list[str]]]] = {
        "models": models,
        "speeds": speeds,
        "any-camera": lambda: any_camera.real_table(results("any-camera")),
        "replay-departures": lambda: replays("departures", _LIMITS),
        "replay-better-half": lambda: replays("departures of the better half", _SOME_LIMITS),
        "replay-worlds": lambda: replays("departures", {"road": ""}, all_conditions=False),
        "replay-distances": lambda: replays("distance", _SOME_LIMITS),
        "replay-distances-on-road": lambda: replays("distance on the road", _SOME_LIMITS),
    }
    if name in tables:
        rows = tables[name]()
    else:
        rows = compare(results("networks")["models"], COMPARED[name])
    head, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *lines, ""])


# ---- how models drive


@dataclass(frozen=True)
class ModelRow:
    """A row of the table of models."""

    label: str
    trained_on: str
    result: str  # the file in docs/results/ that has its drives
    names: tuple[str, ...]  # of the models there; the row shows their median


_MODELS = (
    ModelRow(
        "`python model.py`, three seeds, median",
        "105 s of keyboard driving, one real recording",
        "suite",
        ("s0", "s1", "s2"),
    ),
    ModelRow("`models/lake.h5`", "three simulated laps", "suite", ("lake",)),
    ModelRow("a Keras 2.11 model of others", "their own recordings", "suite-others", ("k211",)),
    ModelRow("a Keras 1.2 model of others", "their own recordings", "suite-others", ("k121",)),
)


def models() -> list[list[str]]:
    """Return how far from the middle each model drives in rows of the suite, in metres."""
    rows = [["model", "trained on", *(f"`{name}`" for name in SUITE_ROWS)]]
    for model in _MODELS:
        drives = {row["row"]: row["models"] for row in results(model.result)["rows"]}
        cells = [model.label, model.trained_on]
        for row in SUITE_ROWS:
            cells.append(_distance([drives[row][name] for name in model.names]))
        rows.append(cells)
    return rows


def _distance(drives: Sequence[Mapping[str, Any]]) -> str:
    """Return the median distance, and how often the car left the road."""
    distance_m = median(drive["mean_abs_cross_track_m"] for drive in drives)
    interventions = sum(drive["interventions"] for drive in drives)
    if not interventions:
        return f"{distance_m:.2f}"
    return f"{distance_m:.2f} ({interventions} off the road)"


# ---- what a replay tells of a drive

# what is compared with drives: as docs/results/replay.json names it -> in a table
_LIMITS = {
    "open loop": "mean error of the steering",
    "1": "replay, 1 m",
    "1.5": "replay, 1.5 m",
    "2": "replay, 2 m",
    "3": "replay, 3 m",
    "road": "replay, the road's limit",
}
_FEWEST_DRIVES = 10  # of which a table has figures
_SOME_LIMITS = {name: _LIMITS[name] for name in ("open loop", "2", "road")}


def replays(what: str, labels: Mapping[str, str], all_conditions: bool = True) -> list[list[str]]:
    """Return how well replays and the open loop tell what networks do, with intervals.

    what: of the drives
    labels: what is compared with it -> its name in the table
    all_conditions: whether light and speed are taken together, else a row for each
    """
    place = ["road", "compared"] if all_conditions else ["road", "light and speed"]
    has_none = what.startswith("departures")
    rows = [[*place, "R2", "slope", "rank correlation", "pairs, %", *["none, %"] * has_none]]
    for found in results("replay")["agreements"]:
        is_all = found["condition"] == "all"
        if found["what"] != what or found["by"] not in labels or is_all != all_conditions:
            continue
        if found["drives"] < _FEWEST_DRIVES:
            continue
        label = labels[found["by"]] if all_conditions else found["condition"]
        figures = [
            interval_text(found["r2"], ".2f"),
            interval_text(found.get("slope"), ".2f"),
            interval_text(found["spearman"], ".2f"),
            interval_text(found["pairs_percent"], ".0f"),
        ]
        if has_none:
            figures.append(interval_text(found.get("none_percent"), ".0f"))
        rows.append([found["road"], label, *figures])
    return rows


def interval_text(figure: Sequence[float] | None, form: str) -> str:
    """Return a figure and its interval of 95 % in brackets, "" if it is not defined."""
    if figure is None:
        return ""
    value, low, high = (format(number, form) for number in figure)
    return f"{value} ({low} to {high})"


# ---- how fast bcclone is


def speeds() -> list[list[str]]:
    """Return our speeds beside the usual way's."""
    feeds = results("feeds")
    ours = feeds["strategies"]
    others = feeds["alternatives"]
    preprocess = _measured("preprocess")
    decoded_again = preprocess["the source's way"]
    drive = _measured("drive")
    loaded = "samples a second, from training data to the network"
    feed_rate = _rate(ours["hdf5-shuffle"])
    return [
        ["what", "bcclone", "the usual way", "what the usual way is", "measured by"],
        [
            "images a second, from a recording to training data",
            f"{preprocess['conversion to a store']:,.0f}",
            f"{decoded_again:,.0f}",
            "each sample is decoded and stored again",
            "`python -m benchmarks preprocess`",
        ],
        [
            loaded,
            feed_rate,
            _rate(others["pydataset-jpeg"]),
            "Keras's `PyDataset` over JPEG files",
            "`python -m benchmarks feeds`",
        ],
        [
            loaded,
            feed_rate,
            _rate(others["python-generator"]),
            "a Python generator over JPEG files",
            "`python -m benchmarks feeds`",
        ],
        [
            "the same, augmented as `model.py` does by default",
            _rate(ours["hdf5-shuffle-augmented"]),
            "not measured",
            "",
            "`python -m benchmarks feeds`",
        ],
        [
            "ms from a frame to its steering, over the simulator's protocol",
            f"{drive['request to steer, threading, p50']:.1f}",
            f"{drive['request to steer, model.predict, p50']:.1f}",
            "`model.predict` in the same server",
            "`python -m benchmarks drive`",
        ],
    ]


def _measured(name: str) -> dict[str, float]:
    """Return the values of a benchmark's measures by their names."""
    return {measure["name"]: measure["value"] for measure in results(name)["measures"]}


def _rate(figures: Mapping[str, float]) -> str:
    return f"{figures['samples_per_second']:,.0f}"


if __name__ == "__main__":
    main()
