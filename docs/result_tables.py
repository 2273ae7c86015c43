"""Write the tables of figures in docs/ and writeup_images/ anew from docs/results/*.json.

    python docs/result_tables.py

A table follows `<!-- table: NAME -->`; the text around it is written by hand.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
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
MODELS = {  # label: (what it was trained on, its results, its names there)
    "`python model.py`, three seeds, median": (
        "105 s of keyboard driving, one real recording", "suite", ("s0", "s1", "s2")),
    "`models/lake.h5`": ("three simulated laps", "suite", ("lake",)),
    "a Keras 2.11 model of others": ("their own recordings", "suite-others", ("k211",)),
    "a Keras 1.2 model of others": ("their own recordings", "suite-others", ("k121",)),
}  # fmt: skip
SUITE_ROWS = ("lake-30", "lake-reverse-30", "latency-200", "shadows", "no-lines", "perturbations")
_TABLE = re.compile(r"(<!-- table: ([\w-]+) -->\n)(?:\|.*\n)*")


def results(name: str) -> Any:
    """Return the content of docs/results/NAME.json."""
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def with_tables(page: str) -> str:
    """Return the page with every table written anew."""
    return _TABLE.sub(lambda found: found[1] + table(found[2]), page)


def table(name: str) -> str:
    """Return a table in Markdown."""
    rows = (
        TABLES[name]() if name in TABLES else compare(results("networks")["models"], COMPARED[name])
    )
    head, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *lines, ""])


def models() -> list[list[str]]:
    """Return how far from the middle each model drives in rows of the suite, in metres."""
    rows = [["model", "trained on", *(f"`{name}`" for name in SUITE_ROWS)]]
    for label, (trained_on, file, names) in MODELS.items():
        driven = {
            row["row"]: [row["models"][name] for name in names] for row in results(file)["rows"]
        }
        rows.append([label, trained_on, *(_distance(driven[row]) for row in SUITE_ROWS)])
    return rows


def _distance(drives: Sequence[Mapping[str, Any]]) -> str:
    distance = median(drive["mean_abs_cross_track_m"] for drive in drives)
    off = sum(drive["interventions"] for drive in drives)
    return f"{distance:.2f}" + (f" ({off} off the road)" if off else "")


def speeds() -> list[list[str]]:
    """Return our speeds beside the usual way's."""
    feeds = results("feeds")
    ours, others = feeds["strategies"], feeds["alternatives"]
    preprocess, drive = (
        {m["name"]: m["value"] for m in results(name)["measures"]}
        for name in ("preprocess", "drive")
    )
    decoded_again = preprocess["the source's way"]
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


def _rate(figures: Mapping[str, float]) -> str:
    return f"{figures['samples_per_second']:,.0f}"


TABLES: dict[str, Callable[[], list[list[str]]]] = {
    "models": models,
    "speeds": speeds,
    "any-camera": lambda: any_camera.real(results("any-camera")),
}


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
