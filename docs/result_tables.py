"""Write the tables of figures in docs/ and writeup_images/ anew from docs/results/*.json.

    python docs/result_tables.py

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; the text around it is written by hand.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import any_camera
from any_road import fine_tuning, scores
from networks import COMPARED, compare

ROOT = Path(__file__).parent.parent
PAGES = [page for page in sorted(ROOT.glob("docs/*/*.md")) if "<!-- table: " in page.read_text(encoding="utf-8")]
PAGES.append(ROOT / "writeup_images" / "README.md")
Cells = Mapping[str, Callable[[Any], str]]  # heading: the cell of an entry
MODELS = {  # label: (what it was trained on, its results, its names there)
    "`python model.py`, three seeds, median": (
        "105 s of keyboard driving, one real recording", "suite", ("s0", "s1", "s2")),
    "`models/lake.h5`": ("three simulated laps", "suite", ("lake",)),
    "a Keras 2.11 model of others": ("their own recordings", "suite-others", ("k211",)),
    "a Keras 1.2 model of others": ("their own recordings", "suite-others", ("k121",)),
}  # fmt: skip
SUITE_ROWS = ("lake-30", "lake-reverse-30", "latency-200", "shadows", "no-lines", "perturbations")
_TABLE = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n(?:.*?\n)??<!-- end -->\n", re.DOTALL)


def results(name: str) -> Any:
    """Return the content of docs/results/NAME.json."""
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def with_tables(page: str) -> str:
    """Return the page with every table written anew."""
    return _TABLE.sub(lambda found: f"<!-- table: {found['name']} -->\n{table(found['name'])}<!-- end -->\n", page)


def table(name: str) -> str:
    """Return a table in Markdown, with blank lines around it."""
    rows = TABLES[name]() if name in TABLES else compare(results("networks")["models"], COMPARED[name])
    head, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join(["", head, "|---" * len(rows[0]) + "|", *lines, "", ""])


def rows_of(entries: Iterable[Any], cells: Cells) -> list[list[str]]:
    """Return a table with a row for each entry."""
    return [[*cells], *([cell(one) for cell in cells.values()] for one in entries)]


def models() -> list[list[str]]:
    """Return how far from the middle each model drives in rows of the suite, in metres."""
    rows = [["model", "trained on", *(f"`{name}`" for name in SUITE_ROWS)]]
    for label, (trained_on, file, names) in MODELS.items():
        driven = {row["row"]: [row["models"][name] for name in names] for row in results(file)["rows"]}
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
    preprocess, drive = ({m["name"]: m["value"] for m in results(name)["measures"]} for name in ("preprocess", "drive"))
    decoded_again = preprocess["the source's way"]
    return [
        ["what", "here", "the usual way", "command"],
        [
            "recording to training data, images a second",
            f"{preprocess['conversion to a store']:,.0f}",
            f"{decoded_again:,.0f}: each sample decoded and stored again",
            "`python -m benchmarks preprocess`",
        ],
        [
            "samples to the network, samples a second",
            f"{_rate(ours['hdf5-shuffle'])}; augmented, as `model.py` trains by default: "
            f"{_rate(ours['hdf5-shuffle-augmented'])}",
            f"{_rate(others['pydataset-jpeg'])}: Keras's `PyDataset` over JPEGs; "
            f"{_rate(others['python-generator'])}: a Python generator; both without augmentation",
            "`python -m benchmarks feeds`",
        ],
        [
            "a frame to its steering, ms, over the simulator's wire",
            f"{drive['request to steer, threading, p50']:.1f}",
            f"{drive['request to steer, model.predict, p50']:.1f}: `model.predict` in the same server",
            "`python -m benchmarks drive`",
        ],
        [
            "a training on a GPU, samples a second",
            _gpu_rate(),
            "2,600, as the source design reports of its loader process; its GPU was busy for 40 % of the time at "
            "first, later for 80 to 90 %",
            "`python docs/measure_gpu.py build/gpu`",
        ],
    ]


def _gpu_rate() -> str:
    """Return how fast `model.py` trained on a GPU, once that was measured (docs/reference/benchmarks.md)."""
    if not (ROOT / "docs" / "results" / "gpu.json").is_file():
        return "not measured yet"
    return f"{results('gpu')['steps']['train float32']['samples_per_second']:,.0f}"


def _rate(figures: Mapping[str, float]) -> str:
    return f"{figures['samples_per_second']:,.0f}"


def feeds() -> list[list[str]]:
    """Return the feeds, ours in bold, the fastest first, below the rooflines."""
    found = results("feeds")
    gather, decode = found["rooflines"]["gather"], found["rooflines"]["decode"]
    limits = [["*one thread copying frames*", gather], ["*all cores decoding JPEG*", decode]]
    every = [(f"**`{name}`**", one) for name, one in found["strategies"].items()]
    every += [(f"`{name}`", one) for name, one in found["alternatives"].items()]
    every.sort(key=lambda item: -item[1]["samples_per_second"])
    head, *rows = rows_of(
        every,
        {
            "feed": lambda item: item[0],
            "samples/s": lambda item: _rate(item[1]),
            "of one thread copying": lambda item: f"{item[1]['samples_per_second'] / gather:.0%}",
            "first batch, s": lambda item: f"{item[1]['first_batch_seconds']:.2f}",
            "own memory, MB": lambda item: f"{item[1]['anonymous_mb']:,.0f}",
            "CPU": lambda item: f"{item[1]['cpu_share']:.0%}",
        },
    )
    return [head, *([name, f"{rate:,.0f}", f"{rate / gather:.0%}", "", "", ""] for name, rate in limits), *rows]


def bars() -> list[list[str]]:
    """Return every measure of the feeds that has a bar, the missed ones too."""
    head, *rows = _with_bars("feeds", lambda value: f"{value:.3g}")
    return [head, *(row for row in rows if row[1])]


def chunks() -> list[list[str]]:
    """Return how well chunks of each size shuffle, a column for each of some sizes."""
    sizes = [64, 512, 4096, 8192, 16384, 32768, 65536]
    cells: Cells = {
        "chunk, samples": lambda one: f"{one['chunk_size']:,}",
        "seconds of driving": lambda one: f"{one['driving_seconds']:.1f}",
        "stretches": lambda one: f"{one['stretches']:.0%}",
        "spread": lambda one: f"{one['spread']:.2f}",
    }
    return _turned(rows_of((one for one in results("chunks")["chunks"] if one["chunk_size"] in sizes), cells))


def windows() -> list[list[str]]:
    """Return how well windows of shards shuffle, and the loss after training on them, a column for each size."""

    def losses(one: Any) -> str:
        each = sorted(one["val_loss"])
        return f"{each[len(each) // 2]:.4f} ({each[0]:.4f} to {each[-1]:.4f})"

    cells: Cells = {
        "window, shards": lambda one: str(one["window_shards"] or "all samples"),
        "seconds of driving": lambda one: f"{one['driving_seconds']:.1f}",
        "distance": lambda one: f"{one['distance']:.0%}",
        "stretches; spread": lambda one: f"{one['stretches']:.0%}; {one['spread']:.2f}",
        "validation loss (range)": losses,
    }
    return _turned(rows_of(results("windows")["windows"], cells))


def _turned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def cluster() -> list[list[str]]:
    """Return what several workers gain and cost on this machine; the other measures are rates for the estimate."""
    shown = ("shards written", "a shard by Dask", "an empty task", "training,", "two workers", "a step of two")
    head, *rows = _with_bars("cluster")
    return [head, *(row for row in rows if row[1] or row[0].startswith(shown))]


def improve() -> list[list[str]]:
    """Return how many of the suite's rows on the lake the weak, the taught and the cloned model of each seed fail."""
    rows = [["seed", "weak: rows that fail", "taught: rounds, rows learned from, minutes", "rows that fail"]]
    rows[0] += ["cloned: rows learned from", "rows that fail"]
    for one in results("improve")["improve"]:
        first, *_, last = one["rounds"]
        minutes = sum(each["seconds"] for each in one["rounds"]) / 60
        taught = f"{last['number']}; {last['all_rows']:,}; {minutes:.0f}"
        cloned = one["cloning"]
        failing = [_failing(scores) for scores in (first["scores"], last["scores"], cloned["scores"])]
        rows.append([str(one["seed"]), failing[0], taught, failing[1], f"{cloned['rows']:,}", failing[2]])
    return rows


def monitor() -> list[list[str]]:
    """Return how well each kind of monitor announces a departure, the median over the seeds."""
    seeds = results("monitor")["monitor"]
    rows = [["kind", "F3, 1 / 2 / 3 s before", "recall, the same", "precision, the same", "AUC, 1 s before"]]
    rows[0] += ["AUC in the same weather", "false alarms", "ms a frame, p50 / p99"]
    for kind in [one["kind"] for one in seeds[0]["kinds"]]:
        found = [next(one for one in seed["kinds"] if one["kind"] == kind) for seed in seeds]
        figures = [
            " / ".join(f"{median(one['detections'][number][name] for one in found):.2f}" for number in range(3))
            for name in ("f3", "recall", "precision")
        ]
        rows.append(
            [
                f"`{kind}`",
                *figures,
                f"{median(one['detections'][0]['auc'] for one in found):.2f}",
                f"{median(one['weather_auc'] for one in found):.2f}",
                f"{median(one['false_alarms'] for one in found):.1%}",
                " / ".join(f"{median(one[name] for one in found):.1f}" for name in ("p50_ms", "p99_ms")),
            ]
        )
    return rows


def testing() -> list[list[str]]:
    """Return how far models/lake.h5 is from the centre line in each weather, in metres, and how often off the road."""
    drives = {row["row"]: next(iter(row["models"].values())) for row in results("suite-testing")["rows"]}
    strengths = range(10, 101, 10)
    rows = [["", *(f"{strength} %" for strength in strengths), "50 %, from day to night"]]
    for weather in ("fog", "rain", "snow"):
        names = [*(f"{weather}-{strength}" for strength in strengths), f"day-night-{weather}"]
        rows.append([weather, *(_distance([drives[name]]) for name in names)])
    return rows


def _failing(scores: Sequence[Mapping[str, Any]]) -> str:
    failing = [f"`{score['row']}`" for score in scores if score["interventions"]]
    shown = f": {', '.join(failing)}" if 0 < len(failing) < 6 else ""
    return f"{len(failing)} of {len(scores)}{shown}"


def _with_bars(name: str, number: Callable[[float], str] | None = None) -> list[list[str]]:
    """Return the measures of a benchmark, with the limit of each that has one, and whether it was reached."""

    def limit(one: Any) -> str:
        return "" if one["bar"] is None else f"at {'least' if one['least'] else 'most'} {one['bar']:g} {one['unit']}"

    cells: Cells = {
        "measure": lambda one: one["name"],
        "bar": limit,
        "measured": lambda one: f"{(number or _rounded)(one['value'])} {one['unit']}",
        "": lambda one: "" if one["bar"] is None else "reached" if one["reached"] else "**missed**",
    }
    return rows_of(results(name)["measures"], cells)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def limits() -> list[list[str]]:
    """Return what does not grow with the number of machines, for the first plan."""
    plan, measured = results("scale")["plans"][0], {one["name"]: one for one in results("cluster")["measures"]}
    memory, size, found = plan["memory_gb"], plan["size"], plan["rates"]
    hours = {phase["name"]: phase["seconds"] / 3600 for phase in plan["phases"]}
    starting, training = (memory[name] for name in sorted(memory, key=lambda name: name.startswith("each")))
    manifest_mb = size["shards"] * measured["manifest of each shard"]["value"] / 1e6
    sending = size["shards"] * found["shard_ms"] / 1000 / 60
    return [
        ["limit", "figure", "what would help"],
        [
            "the command that starts a conversion holds all rows",
            f"{found['row_bytes']:,.0f} bytes a row, {starting:.0f} GB",
            "labels and split by recording, on the workers",
        ],
        ["one thread reads the logs", f"{hours['reading the logs']:.1f} h", "logs read by the workers"],
        [
            "one thread reads the tables of all shards, in every training process, too",
            f"{hours['opening the store'] * 60:.0f} min",
            "tables read side by side",
        ],
        [
            "each training process holds all samples: 20 bytes of the table, 9 of the feed, 4 of the order",
            f"{training:.1f} GB",
            "the tables of its own stream only",
        ],
        ["`store.json` names all shards", f"{manifest_mb:.0f} MB", "enough for some 100,000 shards"],
        ["one process sends all tasks", f"{sending:.0f} min in all", "larger shards"],
    ]


def fuzz() -> list[list[str]]:
    """Return the counts of `python -m tests.fuzz`."""
    cells: Cells = {
        "reader": lambda one: f"`{one['reader']}`",
        "tries": lambda one: f"{one['tries']:,}",
        "read": lambda one: f"{one['read']:,}",
        "refused": lambda one: f"{one['refused']:,}",
        "not held": lambda one: f"{one['tries'] - one['held']:,}",
    }
    return rows_of(results("fuzz")["counts"], cells)


def export() -> list[list[str]]:
    """Return the latency of each exported format, and how far its answers differ from the model's."""
    found = {one["name"]: one["value"] for one in results("export")["measures"]}
    rows = [["format", "p50, ms", "p99, ms", "greatest difference of the steering"]]
    for name in ("drive.py", "onnx", "litert", "saved-model"):
        times = [f"{found[f'{name}, frame to steering, {part}']:.1f}" for part in ("p50", "p99")]
        difference = found.get(f"{name}, greatest difference")
        rows.append([f"`{name}`", *times, "" if difference is None else f"{difference / 1e6:.1e}"])
    return rows


def recording_faults() -> list[list[str]]:
    """Return how many of the injected faults of recordings are named."""
    found: dict[str, list[str]] = {}
    for name, (named, of) in results("recording-faults")["named"].items():
        fault, strength = name.rsplit(" ", 1)
        found.setdefault(fault, []).append(f"{strength}: {named} of {of}")
    return [["injected", "named"], *([fault, ", ".join(each)] for fault, each in found.items())]


def record_next() -> list[list[str]]:
    """Return the seconds of recording that a model needs, recorded all along the road or at the places of its map."""
    found = results("record-next")["results"]
    rows = [["road", "seed", "on round the road, s", "what the map names, s", "share"]]
    for uniform, named in zip(found[::2], found[1::2], strict=True):
        seconds = [one["rounds"][-1]["seconds"] for one in (uniform, named)]
        road, share = uniform["road"].partition(":length")[0], seconds[1] / seconds[0]
        rows.append([road, str(uniform["seed"]), *(f"{each:g}" for each in seconds), f"{share:.2f}"])
    return rows


TABLES: dict[str, Callable[[], list[list[str]]]] = {
    "models": models,
    "speeds": speeds,
    "feeds": feeds,
    "bars": bars,
    "chunks": chunks,
    "windows": windows,
    "cluster": cluster,
    "limits": limits,
    "play": lambda: _with_bars("play"),
    "env": lambda: _with_bars("env"),
    "improve": improve,
    "monitor": monitor,
    "testing": testing,
    "recording-faults": recording_faults,
    "record-next": record_next,
    "export": export,
    "fuzz": fuzz,
    "any-road": lambda: scores(results("any-road")),
    "any-camera": lambda: any_camera.real(results("any-camera")),
    "any-camera-drives": lambda: any_camera.drives(results("any-camera")),
    "fine-tuning": lambda: fine_tuning(results("any-road")),
}


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
