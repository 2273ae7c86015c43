"""Make a clip of the frames that drive.py recorded into a run folder."""

import argparse
from pathlib import Path

from bcclone import atomic
from bcclone.commands.options import add_json, print_json, say


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
    output = arguments.output or folder.absolute().with_name(f"{folder.absolute().name}.mp4")
    atomic.check_folder(output)
    clip = make_clip(folder, output, arguments.fps)
    for skipped in clip.skipped:
        say(f"skipped: {skipped}")
    shown = arguments.output or folder.with_name(output.name)
    if arguments.json:
        print_json({
            "output": str(shown), "frames": clip.frames, "skipped": len(clip.skipped), "seconds": round(clip.seconds, 3)
        })  # fmt: skip
    else:
        print(f"{shown}: {clip.frames} frames, {clip.seconds:.1f} s, {len(clip.skipped)} skipped")
    return 0


def _fps(text: str) -> float | None:
    if text == "real":
        return None
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 0 < fps <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0 and up to 1000, or 'real'")
    return fps
