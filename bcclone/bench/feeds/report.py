"""Report the results of the loaders: measures with their bars, a table, JSON and a chart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from bcclone.atomic import replacing
from bcclone.bench import Measure
from bcclone.bench.feeds.meter import LoaderFigures
from bcclone.bench.feeds.rounds import ALTERNATIVES, AUGMENTED, OURS, ROOFLINES, BenchmarkResults

_COLOURS = {"strategies": "tab:blue", "alternatives": "tab:orange"}
_LABELS = {"strategies": "feeds of bcclone", "alternatives": "other loaders"}
_LIMITS = {"gather": ("tab:green", "one thread copying frames"), "decode": ("tab:red", "all cores decoding JPEG")}


FASTEST, WITH_PROCESSES = "hdf5-shuffle", "workers"
_OF_GATHER_PERCENT, _TIMES_JPEG, _TIMES_FASTEST, _AUGMENTED_MILLISECONDS = 50.0, 20.0, 1.0, 0.08


def names_in_order() -> Sequence[str]:
    """Return the names of all loaders; those that are compared with each other are measured one after the other."""
    first = ("gather", FASTEST, AUGMENTED, WITH_PROCESSES)
    return [*first, *(name for name in (*OURS, *ALTERNATIVES, *ROOFLINES) if name not in first)]


def loader_measures(results: BenchmarkResults) -> list[Measure]:
    """Return the measures of the loaders that were measured."""
    return list(_measures(results))


def _measures(results: BenchmarkResults) -> Iterator[Measure]:
    measured = results.rounds
    if FASTEST in measured and "gather" in measured:
        percent = 100 * results.ratio(FASTEST, "gather")
        yield Measure(f"{FASTEST} to one thread's gather", percent, "%", _OF_GATHER_PERCENT)
    jpeg = [name for name in ALTERNATIVES if name in measured and is_jpeg(name)]
    if FASTEST in measured and jpeg:
        best = max(jpeg, key=lambda name: results.median(name).samples_per_second)
        yield Measure(f"{FASTEST} to {best}", results.ratio(FASTEST, best), "x", _TIMES_JPEG)
    if FASTEST in measured and WITH_PROCESSES in measured:
        yield Measure(f"{WITH_PROCESSES} to {FASTEST}", results.ratio(WITH_PROCESSES, FASTEST), "x", _TIMES_FASTEST)
    if AUGMENTED in measured:
        costs = [figures.core_milliseconds for figures in measured[AUGMENTED]]
        yield Measure(f"{AUGMENTED}, of one core a sample", median(costs), "ms", _AUGMENTED_MILLISECONDS, least=False)


def is_jpeg(name: str) -> bool:
    """Return whether an alternative decodes JPEG files."""
    return name == "python-generator" or name.endswith("-jpeg")


def results_json(results: BenchmarkResults) -> dict[str, Any]:
    """Return the medians by `strategies`, `alternatives` and `rooflines`, the rounds, and what was skipped and why.

    rounds: name -> [samples per second, fraction of the CPU time used by other programs] of each round.
    """
    return {
        "strategies": {name: _values(results.median(name)) for name in OURS if name in results.rounds},
        "alternatives": {name: _values(results.median(name)) for name in ALTERNATIVES if name in results.rounds},
        "rooflines": {
            name: round(results.median(name).samples_per_second, 1) for name in ROOFLINES if name in results.rounds
        },
        "rounds": {
            name: [[round(one.samples_per_second, 1), round(one.others_cpu_share, 3)] for one in figures]
            for name, figures in results.rounds.items()
        },
        "skipped": results.skipped,
        "failed": results.failed,
    }


def _values(figures: LoaderFigures) -> dict[str, float]:
    return {key: round(value, 4) for key, value in asdict(figures).items() if value is not None}


def to_rows(results: BenchmarkResults) -> list[str]:
    """Return the table: our feeds, the other loaders, the rooflines, and what was skipped or failed."""
    head = f"{'':<24}{'samples/s':>11}{'first, s':>10}{'resident, MB':>14}{'own, MB':>9}{'CPU':>6}{'others':>8}"
    rows = [head] if results.rounds else []
    for names in (OURS, ALTERNATIVES, ROOFLINES):
        rows += [_row(name, results.median(name)) for name in names if name in results.rounds]
    rows += [f"skipped: {name}: {reason}" for name, reason in results.skipped.items()]
    return rows + [f"FAILED: {name}: {reason}" for name, reason in results.failed.items()]


def _row(name: str, figures: LoaderFigures) -> str:
    own = "" if figures.anonymous_mb is None else f"{figures.anonymous_mb:.0f}"
    return (
        f"{name:<24}{figures.samples_per_second:>11,.0f}{figures.first_batch_seconds:>10.3f}"
        f"{figures.resident_mb:>14.0f}{own:>9}{figures.cpu_share:>6.0%}{figures.others_cpu_share:>8.0%}"
    )


def draw_chart(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the samples per second of the JSON's `strategies`, `alternatives` and `rooflines` into a PNG."""
    bars = sorted(
        ((values["samples_per_second"], name, group) for group in _COLOURS for name, values in figures[group].items())
    )
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    for group, colour in _COLOURS.items():
        mine = [(index, rate) for index, (rate, _, of) in enumerate(bars) if of == group]
        container = axes.barh(
            [index for index, _ in mine], [rate for _, rate in mine], color=colour, label=_LABELS[group]
        )
        container.set_label(_LABELS[group])
        labels = axes.bar_label(container, [f" {rate:,.0f}" for _, rate in mine], fontsize=8)
        for text in labels:  # readable where a limit's line crosses it
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    for name, (colour, label) in _LIMITS.items():
        if name in figures["rooflines"]:
            axes.axvline(figures["rooflines"][name], color=colour, linestyle="--", label=label)
    axes.set_yticks(range(len(bars)), [name for _, name, _ in bars])
    axes.set(xscale="log", xlabel="samples per second (logarithmic)")
    axes.margins(x=0.15)
    axes.legend(loc="lower right", fontsize=8, framealpha=1.0)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
