"""Record and drive in a built-in simulator, without the Unity program."""

import argparse

from bcclone.commands import HAS_LAB
from bcclone.commands.options import add_settings, chosen, describe_unchanged, local_path, notify, print_result
from bcclone.simulator.world_settings import (
    Conditions,
    ExpertSettings,
    RecordSettings,
    ServerSettings,
    SimulationSettings,
    WorldSettings,
)

SUMMARY = "record and drive without the simulator"

if HAS_LAB:
    from bcclone.lab.road_samples.road_samples_settings import RoadSamplesSettings

_RECORD = "let an expert driver drive, and record it in the format of the Unity program"
_DRIVE = "connect to a drive server, and let it drive the simulated car, as in the autonomous mode"
_ROADS = "render frames all over many random roads, with the steering of an expert, and write them as a store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands and their options."""
    uses = parser.add_subparsers(dest="use", required=True, metavar="COMMAND")
    record = uses.add_parser("record", help=_RECORD, description=_sentence(_RECORD))
    record.add_argument("folder", type=local_path, metavar="DIR", help="folder to record into; must be new or empty")
    if HAS_LAB:
        add_settings(uses.add_parser("roads", help=_ROADS, description=_sentence(_ROADS)), RoadSamplesSettings)
    drive = uses.add_parser("drive", help=_DRIVE, description=_sentence(_DRIVE))
    for use, kinds in (
        (record, (RecordSettings, ExpertSettings, Conditions)),
        (drive, (SimulationSettings, WorldSettings, ServerSettings, Conditions)),
    ):
        for kind in kinds:
            add_settings(use, kind)


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen subcommand; return the exit code."""
    return {"record": _record, "roads": _roads, "drive": _drive}[arguments.use](arguments)


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    if arguments.use == "roads":
        return describe_unchanged(arguments.output or RoadSamplesSettings.output)
    return "nothing was written"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _record(arguments: argparse.Namespace) -> int:
    conditions = chosen(Conditions, arguments)
    expert = chosen(ExpertSettings, arguments)
    settings = chosen(RecordSettings, arguments, expert=expert, conditions=conditions)
    from bcclone.simulator.record import record

    recorded = record(arguments.folder, settings)
    print_result(
        arguments,
        recorded,
        f"{recorded.log}: {recorded.rows} rows, {recorded.distance_m:.0f} m in {recorded.seconds:.0f} s\n"
        f"next: bcclone preprocess {arguments.folder} -o data.h5",
    )
    return 0


def _roads(arguments: argparse.Namespace) -> int:
    settings = chosen(RoadSamplesSettings, arguments)
    from bcclone.lab.road_samples.writing import make_road_samples

    result = make_road_samples(settings, notify)
    print_result(
        arguments,
        result,
        f"{result.output}: {result.frames} frames of {result.roads} roads, {result.train} training and "
        f"{result.validation} validation samples, {result.seconds:.0f} s\n"
        f"next: bcclone model {result.output} -o model.h5 --predict path",
    )
    return 0


def _drive(arguments: argparse.Namespace) -> int:
    conditions = chosen(Conditions, arguments)
    world = chosen(WorldSettings, arguments, set_back=False)
    settings = chosen(SimulationSettings, arguments, world=world, conditions=conditions)
    server = chosen(ServerSettings, arguments)
    from bcclone.simulator.world import simulate

    result = simulate(settings, server)
    score = result.score
    text = (
        f"{result.report.summary()}\n"
        f"{score.distance_m:.0f} m in {score.seconds:.0f} s, {score.mean_abs_cross_track_m:.2f} m from "
        f"the centre line on average, {score.max_abs_cross_track_m:.2f} m at most; it ended: {score.ended}"
    )
    if result.traced is not None:
        text += f"\n{settings.run_folder}: the position of the car at {result.traced} frames, for video.py"
    print_result(arguments, result.as_json(), text)
    return 0
