"""Measure, on this machine, side by side in one run; absolute figures mean little on a busy one.

simulator   how fast it draws and drives, and that a car that sees nothing leaves the road
"""

import argparse

from bcclone.commands.options import add_json, print_json
from bcclone.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured."""
    uses = parser.add_subparsers(dest="use", required=True, metavar="WHAT")
    simulator = uses.add_parser("simulator", help="frames a second, closed loop, blind drives")
    simulator.add_argument("--frames", type=int, default=200, help="frames for each rate (200)")
    add_json(simulator)


def run(arguments: argparse.Namespace) -> int:
    """Measure; return the exit code, 1 when a bar was missed."""
    if arguments.frames < 1:
        raise UserError(f"--frames {arguments.frames}, expected 1 or more")
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.bench.simulator import measure_simulator
    from bcclone.images import Preprocessing
    from bcclone.model_file import ModelFile
    from bcclone.network import build_network
    from bcclone.policy import Policy

    policy = Policy(ModelFile(build_network(), Preprocessing(), {}))  # untrained: only its speed counts
    measures = measure_simulator(policy, arguments.frames)
    if arguments.json:
        print_json({"measures": [measure.to_json() for measure in measures]})
    else:
        print("\n".join(measure.to_row() for measure in measures))
    return int(any(measure.reached is False for measure in measures))
