"""Draw charts of the benchmark of the feeds: samples per second, and GPU utilization."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bcclone.system.atomic import replacing
from benchmarks.feeds.gpu_load import AFTER, BEFORE, GpuReport, TrainingLoad
from benchmarks.feeds.rounds import BenchmarkResults

_COLOURS = {"strategies": "tab:blue", "alternatives": "tab:orange"}
_LABELS = {"strategies": "feeds of bcclone", "alternatives": "other loaders"}
_LIMITS = {"gather": ("tab:green", "one thread copying frames"), "decode": ("tab:red", "all cores decoding JPEG")}
_IN_FRONT = {AFTER: ("tab:blue", "the default"), BEFORE: ("tab:red", "each batch decoded from disk")}


def draw_charts(results: BenchmarkResults, gpu: GpuReport | None, path: Path) -> None:
    """Draw the samples per second and how busy the GPU was, each if measured; with both, the second in PATH-gpu."""
    if results.rounds or not gpu:
        draw_chart(results, path)
    if gpu:
        draw_gpu_chart(gpu, path.with_stem(f"{path.stem}-gpu") if results.rounds else path)


def draw_chart(results: BenchmarkResults, path: Path) -> None:
    """Draw the samples per second of the loaders into a PNG, and the limits of the machine as lines."""
    medians = results.medians()
    bars = sorted(
        (figures.samples_per_second, name, group) for group in _COLOURS for name, figures in medians[group].items()
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
        if name in medians["rooflines"]:
            axes.axvline(medians["rooflines"][name].samples_per_second, color=colour, linestyle="--", label=label)
    axes.set_yticks(range(len(bars)), [name for _, name, _ in bars])
    axes.set(xscale="log", xlabel="samples per second (logarithmic)")
    axes.margins(x=0.15)
    axes.legend(loc="lower right", fontsize=8, framealpha=1.0)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_gpu_chart(report: GpuReport, path: Path) -> None:
    """Draw how busy the GPU was while each feed trained into a PNG; without one, how little the training waited."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name in sorted(report.loads, key=lambda name: name in _IN_FRONT):  # those in front are drawn last
        load = report.loads[name]
        seconds, fractions = _line(load, report.has_gpu)
        if not fractions:
            continue
        mean = load.gpu_share if report.has_gpu else 1 - load.data_wait_share
        label = f"{name}: {mean or 0:.0%}"
        if name in _IN_FRONT:
            colour, what = _IN_FRONT[name]
            axes.plot(seconds, fractions, color=colour, linewidth=2.5, label=f"{label} ({what})")
        else:
            axes.plot(seconds, fractions, linewidth=0.9, alpha=0.6, label=label)
    measured = "in which the GPU computed" if report.has_gpu else "not spent waiting for data"
    title = report.device if report.has_gpu else "No GPU on this machine: how busy it is is not measured"
    axes.set(xlabel="seconds of training", ylabel=f"fraction of the time {measured}", ylim=(-0.02, 1.02))
    axes.set_title(f"{title}; batches of {report.batch_size}", fontsize=10, loc="left", wrap=True)
    axes.yaxis.set_major_formatter("{x:.0%}")
    lines = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    in_order = [label for name in report.loads for label in lines if label.startswith(f"{name}:")]  # as in the table
    axes.legend(
        [lines[label] for label in in_order], in_order, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _line(load: TrainingLoad, has_gpu: bool) -> tuple[Sequence[float], Sequence[float]]:
    """Return seconds and fractions of a training."""
    if has_gpu:
        points = [(sample.seconds, sample.busy) for sample in load.gpu if sample.busy is not None]
    else:
        points = [(sample.seconds, 1 - sample.fraction) for sample in load.waits]
    return [seconds for seconds, _ in points], [fraction for _, fraction in points]
