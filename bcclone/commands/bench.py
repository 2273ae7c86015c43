"""Run benchmarks on this machine; alternatives are measured side by side, because absolute figures vary with the load.

Many measures have a bar, a value to reach. Missed bars are marked; with --check-bars they end the command with exit
code 1.
"""

import argparse
from typing import TYPE_CHECKING, Any

from bcclone.bench import Measure
from bcclone.bench.cluster.settings import ClusterBenchSettings, PlanSettings
from bcclone.bench.settings import (
    ChunksBenchSettings,
    DriveBenchSettings,
    EnvironmentBenchSettings,
    ExportBenchSettings,
    FeedsBenchSettings,
    ImproveBenchSettings,
    MonitorBenchSettings,
    PlayBenchSettings,
    PreprocessBenchSettings,
    SimulatorBenchSettings,
    SoakSettings,
    VerdictsBenchSettings,
    VideoBenchSettings,
    WindowsBenchSettings,
)
from bcclone.commands.options import add_output_options, add_settings, build, given_for, notify, print_json
from bcclone.hardware import find_cards, visible_cards

if TYPE_CHECKING:
    from bcclone.bench.cluster.plan import PlanReport
    from bcclone.bench.cluster.run import ClusterReport

_USES: dict[str, tuple[Any, str]] = {
    "drive": (DriveBenchSettings, "latency of the drive server: both async modes, open dashboards, a busy core"),
    "soak": (SoakSettings, "latency, memory and lost answers of the drive server in a long, disturbed drive"),
    "export": (ExportBenchSettings, "latency of a model in each exported format, and how far its answers differ"),
    "preprocess": (PreprocessBenchSettings, "images per second of preprocess.py, compared with decoding alone"),
    "simulator": (SimulatorBenchSettings, "frames per second of the built-in simulator, and the speed of its drives"),
    "env": (EnvironmentBenchSettings, "steps per second of the Gymnasium environment, beside other environments"),
    "verdicts": (
        VerdictsBenchSettings,
        "how many verdicts on random roads differ when other threads, libraries and instructions compute them",
    ),
    "play": (PlayBenchSettings, "pictures a second of bcclone play in headless Chromium, and how soon one shows a key"),
    "video": (VideoBenchSettings, "rendering speed of clips, with and without an overlay"),
    "improve": (
        ImproveBenchSettings,
        "how many rounds, rows and minutes a weak model needs to learn from the built-in expert, against cloning as "
        "many rows; takes hours",
    ),
    "monitor": (
        MonitorBenchSettings,
        "how well each kind of monitor announces that a model will leave the road, in 37 weathers; takes hours",
    ),
    "cluster": (
        ClusterBenchSettings,
        "what several workers gain and cost, for preprocessing, feeding and training; or, with --plan, simulate very "
        "much driving on several machines",
    ),
    "feeds": (FeedsBenchSettings, "samples per second of every feed, of other loaders, and the limits of the machine"),
    "windows": (
        WindowsBenchSettings,
        "shuffle quality of the feed shards, and training on it, for each --window-shards",
    ),
    "chunks": (ChunksBenchSettings, "speed and shuffle quality of the feed hdf5-chunks for each --chunk-size"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured."""
    uses = parser.add_subparsers(dest="use", required=True, metavar="BENCHMARK")
    for name, (settings, text) in _USES.items():
        use = uses.add_parser(name, help=text, description=f"Measure {text}.")
        add_settings(use, settings)
        if name == "cluster":
            add_settings(use, PlanSettings)
        if name not in ("chunks", "windows", "improve", "monitor"):  # they have no bars
            use.add_argument("--check-bars", action="store_true", help="end with exit code 1 when a bar is missed")
        add_output_options(use)


def run(arguments: argparse.Namespace) -> int:
    """Measure; return the exit code: 1 with --check-bars when a bar was missed."""
    kind, _ = _USES[arguments.use]
    settings = build(kind, **given_for(kind, arguments))
    gpus = [card.describe() for card in visible_cards(find_cards())]
    for gpu in gpus:
        notify(f"GPU of this machine: {gpu}")
    if arguments.use == "feeds":
        return _run_feeds(arguments, settings, gpus)
    if arguments.use == "cluster":
        return _run_cluster(arguments, settings, gpus)
    if arguments.use == "chunks":
        return _run_chunks(arguments, settings)
    if arguments.use == "windows":
        return _run_windows(arguments, settings)
    if arguments.use == "improve":
        return _run_improve(arguments, settings)
    if arguments.use == "monitor":
        return _run_monitor(arguments, settings)
    measures = _measure(arguments.use, settings)
    if arguments.json:
        print_json({"gpus": gpus, "measures": [measure.as_json() for measure in measures]})
    else:
        print("\n".join(measure.as_row() for measure in measures))
    return int(arguments.check_bars and any(measure.reached is False for measure in measures))


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    if arguments.use in ("improve", "monitor"):
        return "the same command continues with the first step that is not complete"
    return "nothing was kept of the measurement"


def _measure(use: str, settings: Any) -> list[Measure]:
    if use == "drive":
        from bcclone.bench.drive import measure_drive

        return measure_drive(settings)
    if use == "soak":
        from bcclone.bench.soak import measure_soak

        return measure_soak(settings, notify)
    if use == "export":
        from bcclone.bench.exporting import measure_export

        return measure_export(settings, notify)
    if use == "preprocess":
        from bcclone.bench.preprocess import measure_preprocess

        return measure_preprocess(settings)
    if use == "simulator":
        from bcclone.bench.simulator import measure_simulator

        return measure_simulator(settings)
    if use == "env":
        from bcclone.bench.environment import measure_environment

        return measure_environment(settings, notify)
    if use == "verdicts":
        from bcclone.bench.verdicts import measure_verdicts

        return measure_verdicts(settings)
    if use == "play":
        from bcclone.bench.play import measure_play

        return measure_play(settings)
    from bcclone.bench.video import measure_video

    return measure_video(settings)


def _run_feeds(arguments: argparse.Namespace, settings: FeedsBenchSettings, gpus: list[str]) -> int:
    """Measure and print; return the exit code: 1 when something failed, or with --check-bars a bar was missed."""
    from bcclone.bench.feeds.run import measure_feeds, to_text

    report = measure_feeds(settings, notify)
    if arguments.json:
        print_json({"gpus": gpus} | report.as_json())
    else:
        print(to_text(report))
    return int(not report.is_good if arguments.check_bars else bool(report.results.failed))


def _run_cluster(arguments: argparse.Namespace, settings: ClusterBenchSettings, gpus: list[str]) -> int:
    """Measure or plan, and print; return the exit code: 1 with --check-bars when a bar was missed."""
    plan = build(PlanSettings, **given_for(PlanSettings, arguments))
    report: ClusterReport | PlanReport
    if plan.hours:
        from bcclone.bench.cluster.plan import make_plan

        report = make_plan(plan)
    else:
        from bcclone.bench.cluster.run import measure_cluster

        report = measure_cluster(settings, notify)
    if arguments.json:
        print_json({"gpus": gpus} | report.as_json())
    else:
        print("\n".join(report.to_rows()))
    return int(arguments.check_bars and not report.is_good)


def _run_chunks(arguments: argparse.Namespace, settings: ChunksBenchSettings) -> int:
    from bcclone.bench.feeds.chunk_sizes import measure_chunk_sizes, to_rows

    sizes = measure_chunk_sizes(settings, notify)
    if arguments.json:
        print_json({"chunks": [size.as_json() for size in sizes]})
    else:
        print("\n".join(to_rows(sizes)))
    return 0


def _run_windows(arguments: argparse.Namespace, settings: WindowsBenchSettings) -> int:
    from bcclone.bench.feeds.window_sizes import measure_window_sizes, to_rows

    sizes = measure_window_sizes(settings, notify)
    if arguments.json:
        print_json({"windows": [size.as_json() for size in sizes]})
    else:
        print("\n".join(to_rows(sizes)))
    return 0


def _run_improve(arguments: argparse.Namespace, settings: ImproveBenchSettings) -> int:
    from bcclone.bench.improving import measure_improve

    reports = measure_improve(settings, notify)
    if arguments.json:
        print_json({"improve": [report.as_json() for report in reports]})
    else:
        print("\n".join(line for report in reports for line in report.to_rows()))
    return 0


def _run_monitor(arguments: argparse.Namespace, settings: MonitorBenchSettings) -> int:
    from bcclone.bench.monitor.run import measure_monitors, to_rows

    reports = measure_monitors(settings, notify)
    if arguments.json:
        print_json({"monitor": [report.as_json() for report in reports]})
    else:
        print("\n".join(to_rows(reports)))
    return 0
