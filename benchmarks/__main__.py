"""Run benchmarks on this machine; alternatives are measured side by side, because absolute figures
vary with the load.

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

from bcclone.cli import run_command
from bcclone.commands.options import Command, Given, Result, list_of, notify
from bcclone.system.hardware import find_cards, visible_cards
from bcclone.system.own_process import claim_process
from bcclone.system.settings import setting

BENCHMARKS = {  # name: (its module, what it measures)
    "drive": (
        "drive",
        "latency of the drive server: both async modes, open dashboards, a busy core",
    ),
    "preprocess": (
        "preprocess",
        "images per second of preprocess.py, compared with decoding alone",
    ),
    "simulator": (
        "simulator",
        "frames per second of the built-in simulator, and the speed of its drives",
    ),
    "env": ("env", "steps per second of the Gymnasium environment, compared with another"),
    "feeds": (
        "feeds.run",
        "samples per second of every feed, of other loaders, and the limits of the machine",
    ),
    "training": (
        "training",
        "samples per second of a training step: with and without oneDNN, and in PyTorch",
    ),
    "cluster": (
        "cluster",
        "what several workers gain and cost, for preprocessing, feeding and training",
    ),
    "look": (
        "look",
        "the page of a recording of 100,000 rows: its first picture, its playhead, its memory",
    ),
    "recording-faults": (
        "recording_faults",
        "how many faults of recordings preprocess.py --check names",
    ),
    "record-next": (
        "record_next",
        "the seconds of driving that a model needs: recorded all along the road, or where its map "
        "of margins names",
    ),
    "networks": (
        "networks",
        "how well each network learns from a recording and drives, with variants of cnn",
    ),
}


@dataclass(frozen=True)
class Bars:
    """Whether missed bars are an error."""

    check_bars: bool = setting(False, "end with exit code 1 when a bar is missed")


def make_benchmark(name: str) -> Command:
    """Return a benchmark as bcclone.cli runs a command.

    Its module is loaded by its name, for it alone: processes that a benchmark spawns load this file
    again, and what they load counts as their memory.
    """
    file, text = BENCHMARKS[name]
    module = import_module(f"benchmarks.{file}")

    def run(given: Given, bars: Bars) -> Result:
        """Measure; the exit code is 1 when something failed, or with --check-bars when a bar was
        missed.
        """
        gpus = [card.describe() for card in visible_cards(find_cards())]
        for gpu in gpus:
            notify(f"GPU of this machine: {gpu}")
        report = module.measure(given.make(module.Settings), notify)
        missed = bars.check_bars and not report.is_good
        value = {"gpus": gpus} | report.as_json()
        return Result(value, "\n".join(report.to_rows()), code=int(bool(report.failed) or missed))

    return Command(
        run,
        f"Measure {text}.",
        (module.Settings, Bars),
        after_interrupt="nothing was kept of the measurement",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m benchmarks NAME ...`; return the exit code."""
    claim_process()  # as a command's, which is measured
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in BENCHMARKS:
        return run_command(make_benchmark(words[0]), f"python -m benchmarks {words[0]}", words[1:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="benchmarks:\n"
        + textwrap.indent(list_of({name: text for name, (_, text) in BENCHMARKS.items()}), "  "),
    )
    parser.add_argument(
        "benchmark", choices=BENCHMARKS, metavar="NAME", help="see below; each has its own --help"
    )
    parser.parse_args(words)
    return 2


if __name__ == "__main__":
    sys.exit(main())
