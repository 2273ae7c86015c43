"""Make a clip of the frames that drive.py recorded into a run folder, or of a recording's centre camera.

--overlay draws onto each frame what the folder tells of it: the steering of the driver, speed, latency, distance from
the centre line, the map. With --model the model's own steering is drawn beside it, and which pixels decided.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone import atomic
from bcclone.commands.options import add_output_options, add_preprocess, as_before, build, print_json, say
from bcclone.errors import UserError

if TYPE_CHECKING:
    from bcclone.video import ClipSettings, Onlooker


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="what drive.py recorded, or a recording")
    parser.add_argument(
        "--fps",
        type=_fps,
        help="frames a second, each once; 'real' or 'real:N' for the speed as driven (60; GIF, two runs: real)",
    )
    parser.add_argument(
        "--range",
        dest="span",
        type=_span,
        default=(0.0, math.inf),
        metavar="A:B",
        help="from second A of the drive up to B; 10: and :40 are ranges, too (all)",
    )
    parser.add_argument("--overlay", action="store_true", help="draw what is known of each frame onto it")
    parser.add_argument("--model", type=Path, help="with --overlay: what this model steers, and which pixels decide")
    add_preprocess(parser)
    parser.add_argument(
        "--side-by-side",
        type=Path,
        metavar="RUN2",
        help="a second run beside it, in step by time; the shorter one stays at its end",
    )
    parser.add_argument(
        "--width", type=int, metavar="PIXELS", help="of each run's picture, 160 to 1920 (what suits the clip)"
    )
    parser.add_argument("-o", "--output", type=Path, help="the clip to write, .mp4 or .gif (RUN.mp4)")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the clip; return the exit code. Raises UserError."""
    if arguments.model and not arguments.overlay:
        raise UserError("--model is drawn by --overlay; give both")
    if arguments.preprocess and not arguments.model:
        raise UserError("--preprocess says how a model's input is made; name one with --model")
    from bcclone.video import make_clip

    settings = _settings(arguments)
    atomic.check_output(settings.output, force=True, remedy="")
    clip = make_clip(settings, _onlookers(arguments, len(settings.runs)))
    for note in clip.notes:
        say(note)
    for reason in clip.skipped:
        say(f"skipped: {reason}")
    if arguments.json:
        seconds, skipped = round(clip.seconds, 3), len(clip.skipped)
        print_json({"output": str(clip.path), "frames": clip.frames, "skipped": skipped, "seconds": seconds})
    else:
        print(f"{clip.path}: {clip.frames} frames, {clip.seconds:.1f} s, {len(clip.skipped)} skipped")
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return as_before(arguments.output or _beside(arguments.run_folder))


def _settings(arguments: argparse.Namespace) -> "ClipSettings":
    from bcclone.video import ClipSettings, Span

    folder, second = arguments.run_folder, arguments.side_by_side
    output = arguments.output or _beside(folder)
    fps, real_time = arguments.fps or (None, bool(second) or output.suffix == ".gif")
    return build(
        ClipSettings,
        (folder, second) if second else (folder,),
        output,
        fps=fps,
        real_time=real_time,
        span=build(Span, *arguments.span),
        width=arguments.width,
        overlay=arguments.overlay,
    )


def _onlookers(arguments: argparse.Namespace, count: int) -> "Sequence[Onlooker]":
    """Return the model once for each run: one of windows keeps the frames of its drive."""
    if not arguments.model:
        return ()
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as drive.py does; the encoder has the other cores
    from bcclone.policy import load_onlooker

    return [load_onlooker(arguments.model, arguments.preprocess) for _ in range(count)]


def _beside(folder: Path) -> Path:
    """Return RUN.mp4 for the run folder, also where it is given as `.` or `..`."""
    if folder.name in ("", ".."):
        folder = folder.resolve()
        if not folder.name:
            raise UserError(f"{folder} is no run folder; name one, or the clip with -o")
    return folder.with_name(f"{folder.name}.mp4")


def _fps(text: str) -> tuple[float | None, bool]:
    """Return the pictures a second, None for what suits, and whether they keep the speed as driven."""
    real, colon, number = text.rpartition(":") if ":" in text else ("", "", text)
    if text == "real":
        return None, True
    try:
        fps = float(number)
    except ValueError:
        fps = 0.0
    if not 1 <= fps <= 1000 or real not in ("", "real") or (colon and not real):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number from 1 to 1000, 'real', or 'real:N'")
    return fps, bool(real)


def _span(text: str) -> tuple[float, float]:
    """Return where a range begins and ends; what is left out is the run's own beginning or end."""
    begin, colon, end = text.partition(":")
    try:
        span = float(begin or 0), float(end or "inf")
    except ValueError:
        span = math.nan, math.nan
    if not colon or math.isnan(span[0]) or math.isnan(span[1]):
        raise argparse.ArgumentTypeError(f"{text!r}, expected A:B in seconds, as 10:40, 10: or :40")
    return span
