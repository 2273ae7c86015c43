"""Run the whole main job on a small recording that is drawn, not recorded: record, preprocess, train, drive, clip.

What an earlier demo left in the folder is used again; remove the folder to begin afresh.
"""

import argparse
from pathlib import Path

from bcclone.commands.options import add_json, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where everything is written (demo)")
    parser.add_argument("--rows", type=int, default=700, help="rows to record, 15 a second (700)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs to train (8)")
    parser.add_argument("--laps", type=float, default=1.0, help="how far the model drives (1)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; exit code 1 when the car left the road."""
    from bcclone.demo import DemoSettings, run_demo

    result = run_demo(DemoSettings(arguments.folder, arguments.rows, arguments.epochs, arguments.laps))
    drive = result.drive
    if arguments.json:
        print_json(
            {"steps": [{"step": s, "made": m, "seconds": round(t, 2)} for s, m, t in result.steps], "drive": drive}
        )
        return int(drive["left_road"])
    print("\nstep        seconds  what it made")
    for step, made, seconds in result.steps:
        print(f"{step:<12}{seconds:>7.1f}  {made}")
    latency = drive["request_to_steer_ms"]
    end = "It LEFT THE ROAD." if drive["left_road"] else "It stayed on the road."
    print(
        f"\nThe model drove {drive['distance_m']:.0f} m over the simulator's protocol, "
        f"{drive['mean_abs_cross_track_m']:.2f} m from the centre line on average and "
        f"{drive['max_abs_cross_track_m']:.2f} m at most (the road's edge is at 4 m); "
        f"request to steer p50 {latency['p50']} ms.\n{end}"
    )
    return int(drive["left_road"])
