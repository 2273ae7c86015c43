"""Run benchmarks on this machine; alternatives are measured side by side, because absolute figures vary with the load.

    python -m benchmarks drive
    python -m benchmarks feeds --only hdf5-shuffle,gather --json

Many measures have a bar, a value to reach. Missed bars are marked; with --check-bars they end the command with exit
code 1.
"""

import argparse
import sys
from typing import Any

from bcclone.cli import run_module
from bcclone.commands.options import add_output_options, add_settings, build, given_for, notify, print_json
from bcclone.system.hardware import find_cards, visible_cards
from benchmarks import Report
from benchmarks.cluster.settings import ClusterBenchSettings, PlanSettings
from benchmarks.settings import (
    DriveBenchSettings,
    EnvironmentBenchSettings,
    FeedsBenchSettings,
    PreprocessBenchSettings,
    SimulatorBenchSettings,
    SoakSettings,
)

_USES: dict[str, tuple[Any, str]] = {
    "drive": (DriveBenchSettings, "latency of the drive server: both async modes, open dashboards, a busy core"),
    "soak": (SoakSettings, "latency, memory and lost answers of the drive server in a long, disturbed drive"),
    "preprocess": (PreprocessBenchSettings, "images per second of preprocess.py, compared with decoding alone"),
    "simulator": (SimulatorBenchSettings, "frames per second of the built-in simulator, and the speed of its drives"),
    "env": (EnvironmentBenchSettings, "steps per second of the Gymnasium environment, beside other environments"),
    "cluster": (ClusterBenchSettings, "what several workers gain and cost, for preprocessing, feeding and training"),
    "plan": (PlanSettings, "very much driving on several machines, simulated from measured rates"),
    "feeds": (FeedsBenchSettings, "samples per second of every feed, of other loaders, and the limits of the machine"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured."""
    uses = parser.add_subparsers(dest="use", required=True, metavar="BENCHMARK")
    for name, (settings, text) in _USES.items():
        use = uses.add_parser(name, help=text, description=f"Measure {text}.")
        add_settings(use, settings)
        use.add_argument("--check-bars", action="store_true", help="end with exit code 1 when a bar is missed")
        add_output_options(use)


def run(arguments: argparse.Namespace) -> int:
    """Measure; return the exit code: 1 when something failed, or with --check-bars when a bar was missed."""
    kind, _ = _USES[arguments.use]
    gpus = [card.describe() for card in visible_cards(find_cards())]
    for gpu in gpus:
        notify(f"GPU of this machine: {gpu}")
    report = _measure(arguments.use, build(kind, **given_for(kind, arguments)))
    if arguments.json:
        print_json({"gpus": gpus} | report.as_json())
    else:
        print("\n".join(report.to_rows()))
    return int(report.has_failures or (arguments.check_bars and not report.is_good))


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was kept of the measurement"


def _measure(use: str, settings: Any) -> Any:
    """Return the report of a benchmark, whose modules are loaded here: Ctrl-C and --help are fast."""
    if use == "drive":
        from benchmarks.drive import measure_drive

        return Report(measure_drive(settings))
    if use == "soak":
        from benchmarks.soak import measure_soak

        return Report(measure_soak(settings, notify))
    if use == "preprocess":
        from benchmarks.preprocess import measure_preprocess

        return Report(measure_preprocess(settings))
    if use == "simulator":
        from benchmarks.simulator import measure_simulator

        return Report(measure_simulator(settings))
    if use == "env":
        from benchmarks.environment import measure_environment

        return Report(measure_environment(settings, notify))
    if use == "cluster":
        from benchmarks.cluster.run import measure_cluster

        return measure_cluster(settings, notify)
    if use == "plan":
        from benchmarks.cluster.plan import make_plan

        return make_plan(settings)
    from benchmarks.feeds.run import measure_feeds

    return measure_feeds(settings, notify)


if __name__ == "__main__":
    sys.exit(run_module(sys.modules[__name__], "python -m benchmarks"))
