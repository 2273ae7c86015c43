"""Run benchmarks on this machine.

Alternatives are measured side by side, because absolute figures vary with the load.

    python -m benchmarks drive
    python -m benchmarks feeds --only hdf5-shuffle,gather --json

Many measures have a bar, a value to reach. Missed bars are marked; with --check-bars they end the
command with exit code 1.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from bcclone.cli import run
from bcclone.commands.command import Command, Given, Result, list_of, notify
from bcclone.system.errors import require_package
from bcclone.system.hardware import find_cards
from bcclone.system.process import claim_process
from bcclone.system.settings import setting


@dataclass(frozen=True)
class Entry:
    """A benchmark in the table."""

    module: str  # name of the module in this package that has the benchmark
    subject: str  # what it measures, for --help
    needs: tuple[str, ...] = ()  # modules that it cannot do without, and bcclone does not require


BENCHMARKS = {
    "drive": Entry(
        "drive",
        "latency of the drive server: both async modes, open dashboards, a busy core",
        needs=("websocket",),
    ),
    "preprocess": Entry(
        "preprocess",
        "images per second of preprocess.py, compared with decoding alone",
    ),
    "simulator": Entry(
        "simulator",
        "frames per second of the built-in simulator, and the speed of its drives",
    ),
    "env": Entry(
        "env",
        "steps per second of the Gymnasium environment, compared with another",
        needs=("gymnasium",),
    ),
    "feeds": Entry(
        "feeds.run",
        "samples per second of every feed, of other loaders, and the limits of the machine",
    ),
    "training": Entry(
        "training",
        "samples per second of a training step: with and without oneDNN, and in PyTorch",
    ),
    "waits": Entry(
        "waits",
        "the seconds from a recording to a model: over a store, and from the JPEG files",
    ),
    "cluster": Entry(
        "cluster",
        "what several workers gain and cost, for preprocessing, feeding and training",
        needs=("distributed",),
    ),
    "editor": Entry(
        "editor",
        "the page of a recording of 100,000 rows: its first picture, its playhead, its memory",
        needs=("selenium",),
    ),
    "page-starts": Entry(
        "page_starts",
        "the seconds from the command until the pages of play, drive and edit can be used",
        needs=("selenium",),
    ),
    "recording-faults": Entry(
        "recording_faults",
        "how many faults of recordings preprocess.py --check names",
    ),
    "record-next": Entry(
        "record_next",
        "the seconds of driving that a model needs: recorded all along the road, or where its map "
        "of margins names",
    ),
    "first-lap": Entry(
        "first_lap",
        "the seconds and passes that recipes need from nothing to a model that drives a lap in "
        "both directions",
    ),
    "replay": Entry(
        "replay",
        "what replays tell of networks, from hopeless to good, compared with their drives on the "
        "same road",
    ),
    "networks": Entry(
        "networks",
        "how well each network learns from a recording and drives, with variants of cnn",
    ),
}


def make_benchmark(name: str) -> Command:
    """Return a benchmark as bcclone.cli runs a command.

    Its module is loaded by its name, for it alone: processes that a benchmark spawns load this file
    again, and what they load counts as their memory.
    """
    entry = BENCHMARKS[name]
    module = import_module(f"benchmarks.{entry.module}")

    def measure(
        given: Given,
        check_bars: bool = setting(False, "end with exit code 1 when a bar is missed"),
    ) -> Result:
        """Measure. The exit code is 1 if something failed, or a bar was missed that counts."""
        for needed in entry.needs:
            require_package(needed, f"the benchmark {name}", ".[dev]")  # pip's words for a clone
        gpus = [card.describe() for card in find_cards()]
        for gpu in gpus:
            notify(f"GPU of this machine: {gpu}")
        report = module.measure(given.make(module.Settings), notify)
        code = 0
        if report.failed or (check_bars and not report.is_good):
            code = 1
        value = {"gpus": gpus} | report.as_json()
        return Result(value, "\n".join(report.to_rows()), code=code)

    return Command(
        measure,
        module.Settings,
        description=f"Measure {entry.subject}.",
        after_interrupt="nothing was kept of the measurement",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m benchmarks NAME ...`; return the exit code."""
    claim_process()  # as a command's, which is measured
    if argv is None:
        argv = sys.argv[1:]
    words = list(argv)
    if words and words[0] in BENCHMARKS:
        name = words[0]
        return run(make_benchmark(name), ["python", "-m", "benchmarks", name], words[1:])
    _parser().parse_args(words)  # shows the help or an error, and exits
    return 2


def _parser() -> argparse.ArgumentParser:
    """Return the parser of a line that names no benchmark."""
    subjects = list_of({name: entry.subject for name, entry in BENCHMARKS.items()})
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="benchmarks:\n" + textwrap.indent(subjects, "  "),
        allow_abbrev=False,
    )
    parser.add_argument(
        "benchmark", choices=BENCHMARKS, metavar="NAME", help="see below; each has its own --help"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
