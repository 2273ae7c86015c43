"""Make a clip of the frames that drive.py recorded into a run folder."""

import argparse
from pathlib import Path

from bcclone import atomic
from bcclone.commands.options import add_json, print_json, say
from bcclone.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="what drive.py recorded, or a recording")
    parser.add_argument(
        "--fps", type=_fps, default=60.0, help="frames a second, or 'real' for the speed as driven (60)"
    )
    parser.add_argument("-o", "--output", type=Path, help="the clip to write (RUN.mp4)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the clip; return the exit code."""
    from bcclone.video import make_clip

    folder: Path = arguments.run_folder
    output = arguments.output or _beside(folder)
    if output.suffix != ".mp4":
        raise UserError(f"{output}: a clip's name must end in .mp4")
    atomic.check_output(output, force=True, remedy="")
    clip = make_clip(folder, output, arguments.fps)
    for reason in clip.skipped:
        say(f"skipped: {reason}")
    if arguments.json:
        seconds, skipped = round(clip.seconds, 3), len(clip.skipped)
        print_json({"output": str(output), "frames": clip.frames, "skipped": skipped, "seconds": seconds})
    else:
        print(f"{output}: {clip.frames} frames, {clip.seconds:.1f} s, {len(clip.skipped)} skipped")
    return 0


def _beside(folder: Path) -> Path:
    """Return RUN.mp4 for the run folder, also where it is given as `.` or `..`."""
    if folder.name in ("", ".."):
        folder = folder.resolve()
        if not folder.name:
            raise UserError(f"{folder} is no run folder; name one, or the clip with -o")
    return folder.with_name(f"{folder.name}.mp4")


def _fps(text: str) -> float | None:
    if text == "real":
        return None
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 1 <= fps <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number from 1 to 1000, or 'real'")
    return fps
