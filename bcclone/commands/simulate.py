"""Play the car's side without the simulator, over the same wire.

replay RECORDING   send a recording's frames to a drive server and measure its answers
drive              drive a small drawn road by a server's answers
record DIR         drive that road by itself and record it as the simulator does
"""

import argparse
from pathlib import Path
from typing import Any

from bcclone.commands.options import add_json, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three uses and their options."""
    uses = parser.add_subparsers(dest="use", required=True, metavar="USE")
    replay = uses.add_parser("replay", help="send a recording's frames to a drive server")
    replay.add_argument("recording", metavar="RECORDING", help="folder or CSV file")
    replay.add_argument("--frames", type=int, default=0, help="how many to send, round and round (each once)")
    drive = uses.add_parser("drive", help="drive a drawn road by a server's answers")
    drive.add_argument("--laps", type=float, default=1.0, help="how far to drive (1)")
    for use in (replay, drive):
        use.add_argument("--host", default="127.0.0.1", help="where the drive server is (127.0.0.1)")
        use.add_argument("--port", type=int, default=4567, help="and its port (4567)")
        use.add_argument(
            "--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for the server to start (0)"
        )
        use.add_argument(
            "--decimal-comma", action="store_true", help="write numbers as machines with decimal commas do"
        )
        add_json(use)
    record = uses.add_parser("record", help="drive the drawn road and record it")
    record.add_argument("folder", type=Path, metavar="DIR", help="where to record to; must be new or empty")
    record.add_argument("--rows", type=int, default=600, help="how many rows, 15 a second (600)")
    record.add_argument("--seed", type=int, default=0, help="seed of the driver's wandering (0)")
    add_json(record)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; return the exit code."""
    return {"replay": _replay, "drive": _drive, "record": _record}[arguments.use](arguments)


def _replay(arguments: argparse.Namespace) -> int:
    from bcclone.recording import find_logs
    from bcclone.simulator.replay import Replay

    world = Replay(find_logs([arguments.recording])[0], arguments.frames)
    _show(arguments, _play(arguments, world), {})
    return 0


def _drive(arguments: argparse.Namespace) -> int:
    from bcclone.simulator.drawn import DrawnTrack, DrawnWorld, summarize

    world = DrawnWorld(DrawnTrack(), arguments.laps)
    figures = _play(arguments, world)
    _show(arguments, figures, summarize(world))
    return 0


def _record(arguments: argparse.Namespace) -> int:
    from bcclone.simulator.drawn import record

    log = record(arguments.folder, arguments.rows, arguments.seed)
    if arguments.json:
        print_json({"log": str(log), "rows": arguments.rows})
    else:
        print(f"{log}: {arguments.rows} rows\nnext: python preprocess.py {arguments.folder}")
    return 0


def _play(arguments: argparse.Namespace, world: Any) -> dict[str, Any]:
    """Drive the world by the server's answers and return what the wire measured."""
    import numpy as np

    from bcclone.simulator.client import UnityClient, connected

    with connected(arguments.host, arguments.port, arguments.wait) as connection:
        report = UnityClient(connection, world, arguments.decimal_comma).drive()
    p50, p99 = np.percentile(report.latencies_ms, [50, 99]) if report.latencies_ms else (None, None)
    return {
        "telemetries": report.telemetries,
        "steers": report.steers,
        "manuals": report.manuals,
        "lost_loops": report.lost_loops,
        "request_to_steer_ms": {"p50": p50 and round(float(p50), 3), "p99": p99 and round(float(p99), 3)},
    }


def _show(arguments: argparse.Namespace, figures: dict[str, Any], driven: dict[str, Any]) -> None:
    if arguments.json:
        print_json(figures | driven)
        return
    latency = figures["request_to_steer_ms"]
    print(
        f"{figures['telemetries']} telemetries, {figures['steers']} steers, {figures['manuals']} manuals; "
        f"request to steer p50 {latency['p50']} ms, p99 {latency['p99']} ms"
    )
    if driven:
        print(
            f"{driven['distance_m']:.0f} m, {driven['mean_abs_cross_track_m']:.2f} m from the centre line on average, "
            f"{driven['max_abs_cross_track_m']:.2f} m at most; "
            + ("left the road" if driven["left_road"] else "stayed on the road")
        )
