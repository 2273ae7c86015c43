"""`bcclone bench feeds` and `bcclone bench chunks`: their options, the store they measure on, what they print."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone import atomic
from bcclone.commands.options import add_output_options, build, print_json, say
from bcclone.errors import UserError
from bcclone.gpu import find_cards, visible_cards

if TYPE_CHECKING:
    from bcclone.bench.feeds.whole import Report

_LEAST_FRAMES = 60


def add_feeds(uses: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare both."""
    feeds = uses.add_parser("feeds", help="samples a second of every feed, of its limits, and of the alternatives")
    feeds.add_argument(
        "--only", default="", metavar="NAMES", help="some of the contestants and parts, with commas (all)"
    )
    feeds.add_argument(
        "--chart",
        type=Path,
        metavar="PNG",
        help="draw the samples a second into this picture; with --only gpu, how busy the GPU was; with both, a second "
        "picture beside it, PNG with -gpu behind its name",
    )
    feeds.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="samples of a batch where the GPU is watched (32)"
    )
    chunks = uses.add_parser("chunks", help="--chunk-size: speed from warm and cold files, and how well it shuffles")
    for use in (feeds, chunks):
        source = use.add_mutually_exclusive_group()
        source.add_argument("--store", type=Path, help="what preprocess.py made; without it a drawn one")
        source.add_argument("--frames", type=int, default=40_000, help="distinct frames to draw (40000)")
        use.add_argument("--rounds", type=int, default=3, help="turns of each (3)")
        use.add_argument("--seconds", type=float, default=4.0, help="how long a turn is timed, behind its warming (4)")
        add_output_options(use)


def run_feeds(arguments: argparse.Namespace) -> int:
    """Measure, print and draw; return the exit code: 1 when something failed, or with --check-bars a bar was missed."""
    from bcclone.bench.feeds.whole import FeedsSettings, measure_feeds, to_text

    only = tuple(name.strip() for name in arguments.only.split(",") if name.strip())
    settings = build(FeedsSettings, only, arguments.rounds, arguments.seconds, arguments.batch_size)
    if arguments.chart:
        atomic.check_output(arguments.chart, True, "")
    with _store(arguments) as store:
        report = measure_feeds(store, settings, say)
    if arguments.chart:
        _draw(report, arguments.chart)
    if arguments.json:
        print_json({"gpus": [card.describe() for card in visible_cards(find_cards())]} | report.to_json())
    else:
        print(to_text(report))
    return int(not report.is_good if arguments.check_bars else bool(report.results.failed))


def _draw(report: "Report", path: Path) -> None:
    """Draw what was measured: samples a second, how busy the GPU was, or each into a picture of its own."""
    from bcclone.bench.feeds.chart import draw_chart
    from bcclone.bench.feeds.gpu_chart import draw_gpu_chart

    if report.results.rounds or not report.gpu:
        draw_chart(report.to_json(), path)
    if report.gpu:
        beside = path.with_stem(f"{path.stem}-gpu") if report.results.rounds else path
        draw_gpu_chart(report.gpu.to_json(), beside)


def run_chunks(arguments: argparse.Namespace) -> int:
    """Measure and print; return the exit code."""
    from bcclone.bench.feeds.chunk_sizes import measure_chunk_sizes, to_json, to_rows
    from bcclone.bench.feeds.meter import Turn
    from bcclone.bench.feeds.race import Race
    from bcclone.bench.feeds.whole import FeedsSettings
    from bcclone.store import Store

    settings = build(FeedsSettings, (), arguments.rounds, arguments.seconds)
    with _store(arguments) as path:
        with Store(path) as store:
            turn = Turn(warm_samples=int(store.part(validation=False).size), seconds=settings.seconds)
        sizes = measure_chunk_sizes(Race(path, workers=os.cpu_count() or 1), turn, settings.rounds, say)
    if arguments.json:
        print_json({"chunks": to_json(sizes)})
    else:
        print("\n".join(to_rows(sizes)))
    return 0


@contextmanager
def _store(arguments: argparse.Namespace) -> Iterator[Path]:
    """Yield the store to measure on: the given one, or a drawn one beside its recording while it is needed."""
    if arguments.store is not None:
        yield arguments.store
        return
    if arguments.frames < _LEAST_FRAMES:
        raise UserError(f"--frames {arguments.frames}, expected {_LEAST_FRAMES} or more")
    from bcclone.bench.feeds.drawn import draw_recording, make_store

    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        recording = draw_recording(Path(name) / "recording", arguments.frames)
        yield make_store(recording, Path(name) / "data.h5")
