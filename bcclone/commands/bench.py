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
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bcclone.bench import Measure
from bcclone.commands.bench_feeds import add_feeds, run_chunks, run_feeds
from bcclone.commands.options import add_output_options, print_json, say
from bcclone.errors import UserError
from bcclone.gpu import find_cards, visible_cards

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
        from bcclone.bench.rounds import frames_to_send

        return measure_drive(model, frames_to_send(arguments.recording), arguments.rounds)


def _soak(arguments: argparse.Namespace) -> list[Measure]:
    _check("--minutes", arguments.minutes, 0 < arguments.minutes < 100_000, "more than 0, and less than 100000")
    with _model(arguments.model) as model:
        from bcclone.bench.rounds import frames_to_send
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
