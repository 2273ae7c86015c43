"""Draw charts of the benchmark of the feeds: samples per second, and GPU utilization."""

from pathlib import Path
from statistics import median

from matplotlib.figure import Figure

from bcclone.system.atomic import replacing
from benchmarks.feeds.loaders import GROUPS, Results
from benchmarks.feeds.training import AFTER, BEFORE, Loads, device_of, has_gpu

_COLOURS = {"strategies": "tab:blue", "alternatives": "tab:orange"}
_LABELS = {"strategies": "feeds of bcclone", "alternatives": "other loaders"}
_LIMITS = {"gather": ("tab:green", "one thread copying frames"), "decode": ("tab:red", "all cores decoding JPEG")}
_IN_FRONT = {AFTER: ("tab:blue", "the default"), BEFORE: ("tab:red", "each batch decoded from disk")}


def draw_charts(loaders: Results, gpu: Loads | None, batch_size: int, path: Path) -> None:
    """Draw what was measured: samples per second, and how busy a GPU was; with both, the second is in PATH-gpu."""
    if loaders.results:
        _save(draw_rates(loaders), path)
    if gpu and has_gpu(gpu):
        _save(draw_gpu(gpu, batch_size), path.with_stem(f"{path.stem}-gpu") if loaders.results else path)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_rates(loaders: Results) -> Figure:
    """Draw the samples per second of the loaders, and the limits of the machine as lines."""
    rates = {name: median(one.samples_per_second for one in rounds) for name, rounds in loaders.results.items()}
    bars = sorted((rates[name], name, group) for group in _COLOURS for name in GROUPS[group] if name in rates)
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    for group, colour in _COLOURS.items():
        own = {index: rate for index, (rate, _, of) in enumerate(bars) if of == group}
        container = axes.barh([*own], [*own.values()], color=colour, label=_LABELS[group])
        for text in axes.bar_label(container, [f" {rate:,.0f}" for rate in own.values()], fontsize=8):
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # readable where a line crosses it
    for name, (colour, label) in _LIMITS.items():
        if name in rates:
            axes.axvline(rates[name], color=colour, linestyle="--", label=label)
    axes.set_yticks(range(len(bars)), [name for _, name, _ in bars])
    axes.set(xscale="log", xlabel="samples per second (logarithmic)")
    axes.margins(x=0.15)
    axes.legend(loc="lower right", fontsize=8, framealpha=1.0)
    return figure


def draw_gpu(loads: Loads, batch_size: int) -> Figure:
    """Draw how busy the GPU was while each feed trained."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, (load, *_) in loads.results.items():
        samples = [sample for sample in load.gpu_series if sample.busy is not None]
        seconds, fractions = [sample.seconds for sample in samples], [sample.busy or 0.0 for sample in samples]
        label = f"{name}: {load.gpu_share or 0:.0%}"
        if name in _IN_FRONT:
            colour, note = _IN_FRONT[name]
            axes.plot(seconds, fractions, color=colour, linewidth=2.5, zorder=3, label=f"{label} ({note})")
        else:
            axes.plot(seconds, fractions, linewidth=0.9, alpha=0.6, label=label)
    axes.set(xlabel="seconds of training", ylabel="fraction of the time in which the GPU computed", ylim=(-0.02, 1.02))
    axes.set_title(f"{device_of(loads)}; batches of {batch_size}", fontsize=10, loc="left", wrap=True)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    return figure
