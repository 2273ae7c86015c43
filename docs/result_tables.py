"""Write the tables of figures in docs/ and writeup_images/ anew from docs/results/*.json.

    python docs/result_tables.py

A table follows `<!-- table: NAME -->`; the text around it is written by hand.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import any_camera

ROOT = Path(__file__).parent.parent
PAGES = [
    page
    for page in sorted(ROOT.glob("docs/*/*.md"))
    if "<!-- table: " in page.read_text(encoding="utf-8")
]
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
    rows = TABLES[name].rows()
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


# a kind of weather in the table -> what the names of its rows are
_WEATHERS = {
    "any fog, by day": r"fog-\d+",
    "any rain, by day": r"rain-\d+",
    "snow up to 50 %, by day": r"snow-[1-5]0",
    "snow of 60 %, by day": r"snow-60",
    "snow of 70 % and more, by day": r"snow-([789]0|100)",
}


def weathers() -> list[list[str]]:
    """Return how far from the middle a model drives in kinds of weather, in metres."""
    rows = [["weather", "mean distance from the centre line"]]
    for kind, pattern in _WEATHERS.items():
        drives = []
        for row in results("suite-testing")["rows"]:
            if re.fullmatch(pattern, row["row"]):
                drives += row["models"].values()
        farthest = max(drive["mean_abs_cross_track_m"] for drive in drives)
        text = f"{farthest:.2f} m at most"
        if any(drive["interventions"] for drive in drives):
            text = "leaves the road"
        rows.append([kind, text])
    return rows


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


# driver of replay-recordings.json -> its row; of several, their figures follow each other
_REPLAYED = {
    ("human",): "the human",
    ("k211",): "a Keras 2.11 model of others, trained on lake_linux",
    ("k121",): "a Keras 1.2 model of others, trained elsewhere",
    ("models/lake.h5",): "[models/lake.h5](../../models/README.md), trained on simulated laps",
    ("s0.h5", "s1.h5", "s2.h5"): "the default training on lake_linux, three seeds",
    ("zero",): "no steering",
    ("mean",): "mean steering",
}


_RECORDED_LIMITS = ("1", "1.5", "2", "3")


def replayed(recording: str) -> list[list[str]]:
    """Return how often each driver came off the path of a recording, at each limit."""
    models = results("replay-recordings")["recordings"][recording]
    drivers = {**models["s0.h5"]["controls"], **models}
    rows = [["driver", "autonomy, %", *(f"off by {limit} m" for limit in _RECORDED_LIMITS)]]
    for names, label in _REPLAYED.items():
        scores = [drivers[name]["by_limit"] for name in names]
        # below 0 it is shown as 0, as by the command
        autonomy = (f"{max(0.0, score['2']['autonomy_percent']):.0f}" for score in scores)
        counts = [
            ", ".join(str(score[limit]["interventions"]) for score in scores)
            for limit in _RECORDED_LIMITS
        ]
        rows.append([label, ", ".join(autonomy), *counts])
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


def feed_rates() -> list[list[str]]:
    """Return the samples a second of feeds and of common loaders."""
    feeds = results("feeds")
    rates = feeds["strategies"] | feeds["alternatives"]
    labels = {
        "hdf5-shuffle": "`hdf5-shuffle`, without augmentation",
        "hdf5-shuffle-augmented": "`hdf5-shuffle`, augmented as by default: by one thread for "
        "every two cores",
        "hdf5-shuffle-augmented-all-cores": "`hdf5-shuffle`, augmented by a thread for each core",
        "tf-data-jpeg": "tf.data over JPEG files, without augmentation",
        "pydataset-jpeg": "Keras's `PyDataset` over JPEG files, without augmentation",
    }
    rows = [[label, _rate(rates[name])] for name, label in labels.items()]
    return [["what", "samples a second"], *rows]


# measure with a goal in feeds.json -> what it is
_FEED_GOALS = {
    "hdf5-shuffle to one thread's gather": "speed of `hdf5-shuffle`, of a gather",
    "hdf5-shuffle to tf-data-jpeg": "speed of `hdf5-shuffle`, of tf.data over JPEG files",
    "hdf5-shuffle-augmented, of one core a sample": "an augmented sample, of a core",
    "with augmentation to without, hdf5-shuffle, batches of 32": "training with augmentation, of "
    "its speed without",
    "with augmentation to train_on_batch, hdf5-shuffle, batches of 32": "training with "
    "augmentation, of Keras's `train_on_batch` on one batch",
    "waiting for data, hdf5-shuffle, batches of 32": "time that the training waits for data",
}
_UNITS = {"x": "times"}  # unit of a measure -> as pages write it


def feed_goals() -> list[list[str]]:
    """Return what feeds should reach, and what they did; what was missed is bold."""
    measures = {measure["name"]: measure for measure in results("feeds")["measures"]}
    rows = [["figure", "goal", "reached"]]
    for name, label in _FEED_GOALS.items():
        measure = measures[name]
        unit = _UNITS.get(measure["unit"], measure["unit"])
        reached = f"{measure['value']:.3g} {unit}"
        limit = "at least" if measure["least"] else "at most"
        goal = f"{limit} {measure['bar']:g} {unit}"
        rows.append([label, goal, reached if measure["reached"] else f"**{reached}**"])
    return rows


def waits() -> list[list[str]]:
    """Return how many seconds a person waits for a model."""
    found = _measured("waits")
    labels = {
        "demo, from nothing to a driven lap": "`demo`: six laps recorded, trained on, one driven",
        "preprocess, the store": "`preprocess` of a lap",
        "model, from the store": "`model` on this store",
        "model --feed files, from the JPEG files": "`model` on the JPEG files of the lap",
    }
    rows = [[label, f"{found[name]:.0f}"] for name, label in labels.items() if name in found]
    return [["command", "seconds"], *rows]


def found_faults() -> list[list[str]]:
    """Return how many of the faults that were put into recordings are found."""
    found = results("recording-faults")
    measured = _measured("recording-faults")
    named, planted = (sum(each) for each in zip(*found["named"].values(), strict=True))
    alarms = f"{len(found['alarms'])} of {len(found['recordings'])}"
    missed = Counter(missed.partition(":")[0] for missed in found["missed"])
    most = " and ".join(f"{count} in {name}" for name, count in missed.most_common(2))
    return [
        ["what", "found"],
        ["faults in the whole recording, named", f"{named:,} of {planted:,}"],
        ["of those that are missed, most", most],
        ["recordings without a fault that get a finding", alarms],
        ["lags that are measured to 50 ms", _percent(measured["lags that are within 50 ms"])],
        [
            "rows with a fault of 5 to 20 s, named",
            _percent(measured["rows of local faults that are named"]),
        ],
        ["named rows that have a fault", _percent(measured["named rows that have a fault"])],
        [
            "good rows that all remedies together take",
            _percent(measured["good rows lost by all remedies"]),
        ],
    ]


def _percent(value: float) -> str:
    return f"{value:.3g} %"


def missed_faults() -> list[list[str]]:
    """Return the kinds of faults that are missed in some recording, the most first."""
    kinds: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for fault, counts in results("recording-faults")["named"].items():
        kind = re.sub(r"(?:, \w+)? [-\d.]+$", "", fault)  # without how large it is
        kinds[kind] = [sum(pair) for pair in zip(kinds[kind], counts, strict=True)]
    shares = sorted((named / planted, kind) for kind, (named, planted) in kinds.items())
    rows = [[kind, f"{kinds[kind][0]} of {kinds[kind][1]}"] for share, kind in shares if share < 1]
    return [["fault", "named"], *rows]


def fuzzed() -> list[list[str]]:
    """Return how many changed files the readers have read and refused."""
    counts = results("fuzz")["counts"]
    numbers = [
        (each["tries"], each["read"], each["refused"], each["tries"] - each["held"])
        for each in counts
    ]
    readers = [*(each["reader"] for each in counts), "all"]
    sums = tuple(map(sum, zip(*numbers, strict=True)))
    rows = [
        [reader, *(f"{number:,}" for number in of_reader)]
        for reader, of_reader in zip(readers, [*numbers, sums], strict=True)
    ]
    return [["reader", "changed files", "read", "refused", "neither"], *rows]


def environment_speeds() -> list[list[str]]:
    """Return the steps a second of the environments."""
    labels = {
        "bcclone, 160x320": "one car, 160x320",
        "bcclone, 64x64": "one car, 64x64",
        "CarRacing-v3, 96x96 from above": "Gymnasium's CarRacing, 96x96 from above",
    }
    steps = _measured("env")
    rows = [[label, f"{steps[name]:,.0f}"] for name, label in labels.items()]
    pair = steps["two processes to one, bcclone, 160x320"]
    return [
        ["environment", "steps a second"],
        *rows,
        ["two processes with a car each, 160x320", f"{pair:.2f} times as many as one"],
    ]


def workers() -> list[list[str]]:
    """Return what several workers gain and cost."""
    found = _measured("cluster")
    return [
        ["what", "result"],
        [
            "two processes write shards",
            f"{found['2 processes to 1']:.2f} times as fast as one process, "
            f"{found['shards written by 2 processes']:,.0f} images a second; the goal was 1.7",
        ],
        [
            "two Dask workers write shards",
            f"{found['2 Dask workers to 1']:.2f} times as fast as one Dask worker",
        ],
        [
            "a shard with Dask",
            f"takes {found['a shard by Dask, beyond a process']:.0f} ms longer than with a process",
        ],
        [
            "feeding from shards",
            f"{found['hdf5-shuffle-sharded to hdf5-shuffle']:.2f} times as fast as from one file",
        ],
        [
            "two training workers on the two cores",
            f"{found['two workers to one']:.2f} times as fast as one; a step takes "
            f"{found['a step of two workers, beyond one']:.0f} ms longer",
        ],
    ]


def _measured(name: str) -> dict[str, float]:
    """Return the values of a benchmark's measures by their names."""
    return {measure["name"]: measure["value"] for measure in results(name)["measures"]}


def _rate(figures: Mapping[str, float]) -> str:
    return f"{figures['samples_per_second']:,.0f}"


# ---- all tables


@dataclass(frozen=True)
class Table:
    """A table on pages."""

    rows: Callable[[], list[list[str]]]  # the first is the head
    results: tuple[str, ...]  # in docs/results/, that it is made of


def _of_replays(what: str, labels: Mapping[str, str], all_conditions: bool = True) -> Table:
    return Table(lambda: replays(what, labels, all_conditions), ("replay",))


TABLES = {
    "models": Table(models, ("suite", "suite-others")),
    "weathers": Table(weathers, ("suite-testing",)),
    "speeds": Table(speeds, ("preprocess", "feeds", "drive")),
    "feeds": Table(feed_rates, ("feeds",)),
    "feed-goals": Table(feed_goals, ("feeds",)),
    "waits": Table(waits, ("waits",)),
    "found-faults": Table(found_faults, ("recording-faults",)),
    "missed-faults": Table(missed_faults, ("recording-faults",)),
    "fuzzed": Table(fuzzed, ("fuzz",)),
    "environments": Table(environment_speeds, ("env",)),
    "workers": Table(workers, ("cluster",)),
    "any-camera": Table(lambda: any_camera.real_table(results("any-camera")), ("any-camera",)),
    "replayed-lake": Table(lambda: replayed("lake_linux"), ("replay-recordings",)),
    "replayed-mountain": Table(lambda: replayed("mountain_windows"), ("replay-recordings",)),
    "replay-departures": _of_replays("departures", _LIMITS),
    "replay-better-half": _of_replays("departures of the better half", _SOME_LIMITS),
    "replay-worlds": _of_replays("departures", {"road": ""}, all_conditions=False),
    "replay-distances": _of_replays("distance", _SOME_LIMITS),
    "replay-distances-on-road": _of_replays("distance on the road", _SOME_LIMITS),
}


if __name__ == "__main__":
    main()
