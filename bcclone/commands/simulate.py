"""Play the simulator's side without the simulator: its tracks, its car, its recordings and its protocol.

record DIR         let an expert drive, and record it as the simulator does
drive              drive by a drive server's answers, as the simulator's autonomous mode does
replay RECORDING   send a recording's frames to a drive server and measure its answers
"""

import argparse
from pathlib import Path

from bcclone.commands.options import (
    add_conditions,
    add_hardships,
    add_output_options,
    add_server,
    add_track,
    build,
    given,
    given_conditions,
    given_for,
    given_hardships,
    play,
    print_json,
    show_wire,
)
from bcclone.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three uses and their options."""
    uses = parser.add_subparsers(dest="use", required=True, metavar="USE")
    _add_record(uses)
    _add_drive(uses)
    _add_replay(uses)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; return the exit code."""
    return {"record": _record, "drive": _drive, "replay": _replay}[arguments.use](arguments)


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return "nothing was written"


def _add_record(uses: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    record = uses.add_parser("record", help="let an expert drive, and record it")
    record.add_argument("folder", type=Path, metavar="DIR", help="where to record to; must be new or empty")
    record.add_argument("--laps", type=float, help="how far to drive (1)")
    record.add_argument(
        "--seed", type=int, help="seed of the driver's wandering; the same seed gives the same bytes (0)"
    )
    record.add_argument(
        "--speed", dest="speed_mph", type=float, metavar="MPH", help="speed on straights; it slows for bends (30)"
    )
    record.add_argument(
        "--steering",
        choices=("smooth", "keyboard"),
        help="as with a mouse, or by keys: steps of 0.05 while one is held, 0 when it is not (smooth)",
    )
    record.add_argument(
        "--wander-m", type=float, metavar="M", help="how far it strays from the centre line, standard deviation (0.35)"
    )
    record.add_argument(
        "--recoveries",
        type=float,
        metavar="N",
        help="times a minute that it drives aside unrecorded, and records its way back (8)",
    )
    record.add_argument(
        "--recovery-m", type=float, metavar="M", help="from how far beside the centre line, at most (2.2)"
    )
    add_track(record)
    add_conditions(record)
    add_output_options(record)


def _add_drive(uses: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    drive = uses.add_parser("drive", help="drive by a drive server's answers")
    drive.add_argument("--laps", type=float, default=1.0, help="how far to drive (1)")
    drive.add_argument("--real-time", action="store_true", help="let the world run on while the server thinks")
    add_server(drive, port=4567)
    add_track(drive)
    add_conditions(drive)
    add_hardships(drive)
    add_output_options(drive)


def _add_replay(uses: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    replay = uses.add_parser("replay", help="send a recording's frames to a drive server")
    replay.add_argument(
        "recording",
        metavar="RECORDING",
        help="folder with a driving_log.csv, or a CSV file; side cameras may be missing",
    )
    replay.add_argument("--frames", type=int, default=0, help="how many to send, round and round (each once)")
    add_server(replay, port=4567)
    add_output_options(replay)


def _record(arguments: argparse.Namespace) -> int:
    conditions = given_conditions(arguments)
    from bcclone.simulator.expert import ExpertSettings
    from bcclone.simulator.record import RecordSettings, record

    expert = build(ExpertSettings, **given_for(ExpertSettings, arguments))
    values = given(arguments, "track", "reverse", "laps", "seed")
    done = record(arguments.folder, build(RecordSettings, expert=expert, conditions=conditions, **values))
    if arguments.json:
        print_json({"log": str(done.log), "rows": done.rows, "seconds": done.seconds, "distance_m": done.distance_m})
    else:
        print(
            f"{done.log}: {done.rows} rows, {done.distance_m:.0f} m in {done.seconds:.0f} s\n"
            f"next: python preprocess.py {arguments.folder} -o data.h5"
        )
    return 0


def _drive(arguments: argparse.Namespace) -> int:
    conditions = given_conditions(arguments)
    from bcclone.progress import ProgressBar
    from bcclone.simulator.render import Renderer
    from bcclone.simulator.track import load_track
    from bcclone.simulator.unity_client import connected
    from bcclone.simulator.world import SimulatedWorld, WorldSettings

    values = given_hardships(arguments)
    settings = build(WorldSettings, laps=arguments.laps, set_back=False, real_time=arguments.real_time, **values)
    track_name = arguments.track or "lake"
    track = load_track(track_name, bool(arguments.reverse))
    goal = round(settings.laps * track.length_m)
    with (
        connected(arguments.host, arguments.port, arguments.wait) as connection,
        ProgressBar("driving", goal, "m") as bar,
    ):
        world = SimulatedWorld(Renderer(track_name, conditions), track, settings, bar.advance)
        figures = play(connection, world, arguments.decimal_comma)
    driven = world.score.figures() | {"laps": round(world.laps, 3), "ended": world.over}
    if arguments.json:
        print_json(figures | driven)
    else:
        show_wire(figures)
        print(
            f"{driven['distance_m']:.0f} m in {driven['seconds']:.0f} s, {driven['mean_abs_cross_track_m']:.2f} m from "
            f"the centre line on average, {driven['max_abs_cross_track_m']:.2f} m at most; it ended: {world.over}"
        )
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    from bcclone.recording import find_log
    from bcclone.replay import Replay
    from bcclone.simulator.unity_client import connected

    if arguments.frames < 0:
        raise UserError(f"--frames {arguments.frames}, expected 1 or more, or 0 for each once")
    world = Replay(find_log(arguments.recording), arguments.frames)
    with connected(arguments.host, arguments.port, arguments.wait) as connection:
        figures = play(connection, world, arguments.decimal_comma)
    if arguments.json:
        print_json(figures)
    else:
        show_wire(figures)
    return 0
