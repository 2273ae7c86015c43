"""Training on each feed -> a line chart: how busy the GPU was over time, the disk generator and the default in front.

Without a GPU the lines show the share of the time that was not spent waiting for data, and the chart says so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bcclone.atomic import replacing
from bcclone.bench.feeds.gpu_load import AFTER, BEFORE

_IN_FRONT = {AFTER: ("tab:blue", "the default"), BEFORE: ("tab:red", "each batch decoded from disk")}


def draw_gpu_chart(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the JSON of a GpuReport into a PNG."""
    has_gpu = figures["device"].startswith("GPU")
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    feeds = figures["feeds"]
    for name in sorted(feeds, key=lambda name: name in _IN_FRONT):  # those in front are drawn last
        seconds, shares = _line(feeds[name], has_gpu)
        if not shares:
            continue
        mean = feeds[name]["gpu_share"] if has_gpu else 1 - feeds[name]["data_wait_share"]
        label = f"{name}: {mean:.0%}"
        if name in _IN_FRONT:
            colour, what = _IN_FRONT[name]
            axes.plot(seconds, shares, color=colour, linewidth=2.5, label=f"{label} ({what})")
        else:
            axes.plot(seconds, shares, linewidth=0.9, alpha=0.6, label=label)
    share = "in which the GPU computed" if has_gpu else "not spent waiting for data"
    title = figures["device"] if has_gpu else "No GPU on this machine: its busy share is not measured"
    axes.set(xlabel="seconds of training", ylabel=f"share of the time {share}", ylim=(-0.02, 1.02))
    axes.set_title(f"{title}; batches of {figures['batch_size']}", fontsize=10, loc="left", wrap=True)
    axes.yaxis.set_major_formatter("{x:.0%}")
    lines = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    in_order = [label for name in feeds for label in lines if label.startswith(f"{name}:")]  # as in the table
    axes.legend(
        [lines[label] for label in in_order], in_order, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _line(feed: Mapping[str, Any], has_gpu: bool) -> tuple[Sequence[float], Sequence[float]]:
    """Return seconds and shares of a feed."""
    if has_gpu:
        points = [(seconds, share) for seconds, share, _ in feed["gpu_series"] if share is not None]
    else:
        points = [(seconds, 1 - share) for seconds, share in feed["wait_series"]]
    return [seconds for seconds, _ in points], [share for _, share in points]
