"""Measure, on this machine, side by side in one run; absolute figures mean little on a busy one.

Bars that are missed are shown; with --check-bars they end the command with exit code 1.

drive       how fast the drive server answers, in both its modes, and with pages that watch
soak        whether it stays as fast and as small for an hour
preprocess  how fast a recording becomes a store, beside decoding alone and the source design's way
video       seconds of a run that become a clip in a second, with and without an overlay
simulator   how fast it draws and drives, and that a car that sees nothing leaves the road
feeds       samples a second of every feed, beside the machine's limits and what one would use instead
chunks      what --chunk-size buys and costs
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone import atomic
from bcclone.bench import Measure
from bcclone.commands.options import add_output_options, build, print_json, say
from bcclone.errors import UserError
from bcclone.gpu import find_cards, visible_cards

if TYPE_CHECKING:
    from bcclone.bench.feeds.run import Report


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
    from bcclone.bench.feeds.run import FeedsSettings, measure_feeds, to_text

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
    from bcclone.bench.feeds.gpu_load import draw_gpu_chart
    from bcclone.bench.feeds.report import draw_chart

    if report.results.rounds or not report.gpu:
        draw_chart(report.to_json(), path)
    if report.gpu:
        beside = path.with_stem(f"{path.stem}-gpu") if report.results.rounds else path
        draw_gpu_chart(report.gpu.to_json(), beside)


def run_chunks(arguments: argparse.Namespace) -> int:
    """Measure and print; return the exit code."""
    from bcclone.bench.feeds.chunk_sizes import measure_chunk_sizes, to_json, to_rows
    from bcclone.bench.feeds.meter import Benchmark, Timing
    from bcclone.bench.feeds.run import FeedsSettings
    from bcclone.store import Store

    settings = build(FeedsSettings, (), arguments.rounds, arguments.seconds)
    with _store(arguments) as path:
        with Store(path) as store:
            timing = Timing(warm_samples=int(store.split_indices(validation=False).size), seconds=settings.seconds)
        sizes = measure_chunk_sizes(Benchmark(path, workers=os.cpu_count() or 1), timing, settings.rounds, say)
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
    from bcclone.bench.feeds.synthetic import draw_recording, make_store

    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        recording = draw_recording(Path(name) / "recording", arguments.frames)
        yield make_store(recording, Path(name) / "data.h5")


_WITH_TABLES = {"feeds": run_feeds, "chunks": run_chunks}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured."""
    uses = parser.add_subparsers(dest="use", required=True, metavar="WHAT")
    drive = uses.add_parser("drive", help="request to steer, over the simulator's wire")
    drive.add_argument("--rounds", type=int, default=2000, help="requests to each server (2000)")
    soak = uses.add_parser("soak", help="a long drive at 30 frames a second")
    soak.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    for use in (drive, soak):
        use.add_argument("--model", type=Path, help="a model file; without it an untrained network, which is as fast")
        use.add_argument(
            "--recording", type=Path, help="a driving_log.csv whose frames are sent; without it drawn ones"
        )
        add_output_options(use)
    preprocess = uses.add_parser("preprocess", help="a recording to a store, decoding alone, the source's way")
    source = preprocess.add_mutually_exclusive_group()
    source.add_argument("--frames", type=int, default=12_000, help="camera images to draw for it (12000)")
    source.add_argument("--recording", type=Path, help="a recording to convert instead: a folder or its log")
    add_output_options(preprocess)
    simulator = uses.add_parser("simulator", help="frames a second, closed loop, blind drives")
    simulator.add_argument("--frames", type=int, default=200, help="frames for each rate (200)")
    add_output_options(simulator)
    video = uses.add_parser("video", help="seconds of a run that become a clip in a second")
    video.add_argument("--seconds", type=float, default=30.0, help="how long a run to drive for it (30)")
    video.add_argument("--rounds", type=int, default=3, help="turns of each kind of clip (3)")
    video.add_argument("--model", type=Path, help="a model file; without it an untrained network, which is as fast")
    add_output_options(video)
    add_feeds(uses)
    for name, use in uses.choices.items():
        if name != "chunks":  # it has no bars
            use.add_argument("--check-bars", action="store_true", help="end with exit code 1 when a bar is missed")


def run(arguments: argparse.Namespace) -> int:
    """Measure; return the exit code: 1 with --check-bars when a bar was missed."""
    gpus = [card.describe() for card in visible_cards(find_cards())]
    for gpu in gpus:
        say(f"GPU of this machine: {gpu}")
    if arguments.use in _WITH_TABLES:
        return _WITH_TABLES[arguments.use](arguments)
    uses = {"drive": _drive, "soak": _soak, "preprocess": _preprocess, "simulator": _simulator, "video": _video}
    measures = uses[arguments.use](arguments)
    if arguments.json:
        print_json({"gpus": gpus, "measures": [measure.to_json() for measure in measures]})
    else:
        print("\n".join(measure.to_row() for measure in measures))
    return int(arguments.check_bars and any(measure.reached is False for measure in measures))


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return "nothing was kept of the measurement"


def _drive(arguments: argparse.Namespace) -> list[Measure]:
    _check("--rounds", arguments.rounds, arguments.rounds >= 10, "10 or more")
    with _model(arguments.model) as model:
        from bcclone.bench.drive import measure_drive
        from bcclone.bench.round_trips import frames_to_send

        return measure_drive(model, frames_to_send(arguments.recording), arguments.rounds)


def _soak(arguments: argparse.Namespace) -> list[Measure]:
    _check("--minutes", arguments.minutes, 0 < arguments.minutes < 100_000, "more than 0, and less than 100000")
    with _model(arguments.model) as model:
        from bcclone.bench.round_trips import frames_to_send
        from bcclone.bench.soak import measure_soak

        return measure_soak(model, frames_to_send(arguments.recording), arguments.minutes, say)


def _preprocess(arguments: argparse.Namespace) -> list[Measure]:
    _check("--frames", arguments.frames, arguments.frames >= 3, "3 or more")
    from bcclone.bench.preprocess import measure_preprocess

    return measure_preprocess(arguments.recording, arguments.frames)


def _simulator(arguments: argparse.Namespace) -> list[Measure]:
    _check("--frames", arguments.frames, arguments.frames >= 1, "1 or more")
    with _model(None) as model:
        from bcclone.bench.simulator import measure_simulator
        from bcclone.policy import load_policy

        return measure_simulator(load_policy(model), arguments.frames)


def _video(arguments: argparse.Namespace) -> list[Measure]:
    _check("--seconds", arguments.seconds, 1 <= arguments.seconds <= 600, "1 to 600")
    _check("--rounds", arguments.rounds, arguments.rounds >= 1, "1 or more")
    with _model(arguments.model) as model:
        from bcclone.bench.video import measure_video

        return measure_video(model, arguments.seconds, arguments.rounds)


def _check(option: str, value: float, right: bool, expected: str) -> None:
    if not right:
        raise UserError(f"{option} {value:g}, expected {expected}")


@contextmanager
def _model(path: Path | None) -> Iterator[Path]:
    """Yield a model file: the given one, or an untrained network for as long as it is needed."""
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as drive.py does
    from bcclone.images import Preprocessing
    from bcclone.model_file import save_model
    from bcclone.network import build_network

    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        untrained = Path(folder) / "untrained.h5"
        save_model(untrained, build_network(), Preprocessing(), {})
        yield untrained
