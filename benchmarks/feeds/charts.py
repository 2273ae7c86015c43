"""Draw charts of the benchmark of the feeds: samples per second, and GPU utilization."""

from pathlib import Path

from matplotlib.figure import Figure

from bcclone.system.atomic import replacing
from benchmarks.feeds.gpu_load import AFTER, BEFORE, GpuReport
from benchmarks.feeds.rounds import LoaderResults

_COLOURS = {"strategies": "tab:blue", "alternatives": "tab:orange"}
_LABELS = {"strategies": "feeds of bcclone", "alternatives": "other loaders"}
_LIMITS = {"gather": ("tab:green", "one thread copying frames"), "decode": ("tab:red", "all cores decoding JPEG")}
_IN_FRONT = {AFTER: ("tab:blue", "the default"), BEFORE: ("tab:red", "each batch decoded from disk")}


def draw_charts(results: LoaderResults, gpu: GpuReport | None, path: Path) -> None:
    """Draw what was measured: samples per second, and how busy a GPU was; with both, the second is in PATH-gpu."""
    if results.rounds:
        _save(draw_rates(results), path)
    if gpu and gpu.has_gpu:
        _save(draw_gpu(gpu), path.with_stem(f"{path.stem}-gpu") if results.rounds else path)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_rates(results: LoaderResults) -> Figure:
    """Draw the samples per second of the loaders, and the limits of the machine as lines."""
    medians = results.medians()
    bars = sorted(
        (figures.samples_per_second, name, group) for group in _COLOURS for name, figures in medians[group].items()
    )
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    for group, colour in _COLOURS.items():
        own = [(index, rate) for index, (rate, _, of) in enumerate(bars) if of == group]
        indices, rates = [index for index, _ in own], [rate for _, rate in own]
        container = axes.barh(indices, rates, color=colour, label=_LABELS[group])
        for text in axes.bar_label(container, [f" {rate:,.0f}" for rate in rates], fontsize=8):
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # readable where a line crosses it
    for name, (colour, label) in _LIMITS.items():
        if name in medians["rooflines"]:
            axes.axvline(medians["rooflines"][name].samples_per_second, color=colour, linestyle="--", label=label)
    axes.set_yticks(range(len(bars)), [name for _, name, _ in bars])
    axes.set(xscale="log", xlabel="samples per second (logarithmic)")
    axes.margins(x=0.15)
    axes.legend(loc="lower right", fontsize=8, framealpha=1.0)
    return figure


def draw_gpu(report: GpuReport) -> Figure:
    """Draw how busy the GPU was while each feed trained."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, load in report.loads.items():
        samples = [sample for sample in load.gpu_series if sample.busy is not None]
        seconds, fractions = [sample.seconds for sample in samples], [sample.busy or 0.0 for sample in samples]
        label = f"{name}: {load.gpu_share or 0:.0%}"
        if name in _IN_FRONT:
            colour, note = _IN_FRONT[name]
            axes.plot(seconds, fractions, color=colour, linewidth=2.5, zorder=3, label=f"{label} ({note})")
        else:
            axes.plot(seconds, fractions, linewidth=0.9, alpha=0.6, label=label)
    axes.set(xlabel="seconds of training", ylabel="fraction of the time in which the GPU computed", ylim=(-0.02, 1.02))
    axes.set_title(f"{report.device}; batches of {report.batch_size}", fontsize=10, loc="left", wrap=True)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    return figure
