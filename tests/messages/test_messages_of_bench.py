"""Benchmarks: what cannot be measured, and loaders that are unavailable."""

import os
import shutil
from pathlib import Path

from bcclone.cli import perform
from bcclone.commands.options import Given, make_parser
from benchmarks.__main__ import make_benchmark
from benchmarks.feeds.loaders import measure_loader
from benchmarks.feeds.meter import Benchmark, Timing
from benchmarks.rounds import Unavailable, in_fresh_process
from tests.messages.refusals import checked, refusal, run_command
from tests.messages.small_recording import make_recording


def run(text, *line):
    """Run a benchmark in this process. text: its name and options; line: more of them."""
    name, *words = text.split()
    command = make_benchmark(name)
    return perform(command, Given(make_parser(command, name), [*words, *map(str, line)]))


def take_part(name, *, moved=False):
    run_command("preprocess", make_recording("rec"), "--size", 8)
    if moved:
        shutil.move("rec", "elsewhere")
    return measure_loader(
        name, Benchmark(Path("data.h5"), workers=1), Timing(warm_samples=1, warm_seconds=0.0, seconds=0.01)
    )


def shards_of_a_store(change):
    run_command("preprocess", make_recording("rec"), "--size", 8)
    change()
    run("feeds", "--store", "data.h5", "--shards", 2, "--only", "hdf5-shuffle")


REFUSALS = [
    refusal(lambda: run("drive", "--rounds", 9), "rounds 9", "10 or more"),
    refusal(
        lambda: shards_of_a_store(lambda: shutil.rmtree("rec")), "--shards", "data.h5", "no such file", "put it back"
    ),
    refusal(lambda: in_fresh_process(os._exit, 3), "_exit", "memory"),
    refusal(
        lambda: take_part("python-generator", moved=True),
        "rec/driving_log.csv",
        "data.h5",
        "no such file",
        by=(Unavailable,),
    ),
]


test_a_mistake_is_refused_with_what_the_user_needs = checked(REFUSALS)
