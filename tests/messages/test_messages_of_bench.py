"""bench: what cannot be measured, and who cannot take part."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from bcclone.bench.decoding import convert_as_the_source, decode_alone
from bcclone.bench.feeds.fresh_process import alone
from bcclone.bench.feeds.meter import Race, Turn
from bcclone.bench.feeds.turns import take_turn
from bcclone.bench.preprocess import measure_preprocess
from tests.messages.made import make_recording
from tests.messages.told import Message, run_command, tabled


def take_part(name, *, moved=False):
    run_command("preprocess", make_recording("rec"), "--size", 8)
    if moved:
        shutil.move("rec", "elsewhere")
    return take_turn(name, Race(Path("data.h5"), workers=1), Turn(warm_samples=1, warm_seconds=0.0, seconds=0.01))


def without_tables(monkeypatch):
    monkeypatch.setitem(sys.modules, "tables", None)
    return take_part("pytables-chunks")


def of_no_image():
    Path("image.jpg").write_bytes(b"no image")
    return convert_as_the_source([["image.jpg"]], Path("data.h5"), once=True)


MESSAGES = [
    Message("commands/bench.py", "… …, expected …", lambda: run_command("bench", "drive", "--rounds", 9),
            ("--rounds 9, expected 10 or more",)),
    Message("commands/bench.py", "… …, expected …", lambda: run_command("bench", "soak", "--minutes", 0),
            ("--minutes 0, expected more than 0",)),
    Message("commands/bench.py", "… …, expected …", lambda: run_command("bench", "preprocess", "--frames", 2),
            ("--frames 2, expected 3 or more",)),
    Message("commands/bench.py", "… …, expected …", lambda: run_command("bench", "simulator", "--frames", 0),
            ("--frames 0, expected 1 or more",)),
    Message("commands/bench.py", "… …, expected …", lambda: run_command("bench", "video", "--seconds", 601),
            ("--seconds 601, expected 1 to 600",)),
    Message("commands/bench.py", "… …, expected …", lambda: run_command("bench", "video", "--rounds", 0),
            ("--rounds 0, expected 1 or more",)),
    Message("commands/bench.py", "--frames …, expected … or more",
            lambda: run_command("bench", "chunks", "--frames", 9), ("--frames 9, expected 60",)),
    Message("bench/preprocess.py", "…: no row has images of all cameras; measure with another recording",
            lambda: measure_preprocess(make_recording("rec"), 3), ("rec/driving_log.csv: ",)),
    Message("bench/decoding.py", "…: …; measure with a recording whose images are all whole",
            lambda: decode_alone(["nowhere.jpg"]), ("nowhere.jpg: No such file",)),
    Message("bench/decoding.py", "…: no image; measure with a recording whose images are all whole", of_no_image,
            ("image.jpg: ",)),
    Message("bench/feeds/fresh_process.py", "… broke off with exit code …; was there memory enough?",
            lambda: alone(os._exit, 3), ("_exit(3,)", "exit code 3")),
    Message("bench/feeds/turns.py", "(take_turn) …", lambda: take_part("python-generator", moved=True),
            ("the recording",)),
    Message("bench/feeds/turns.py", "… is not installed; pip install '.[bench]'", without_tables, ("tables is",)),
    Message("bench/feeds/rooflines.py", "the recording … that … was made of has no images; put them back",
            lambda: take_part("python-generator", moved=True), ("rec/driving_log.csv that data.h5 was",)),
    Message("bench/feeds/turns.py", "the recording that … was made of cannot be used: …",
            lambda: take_part("files", moved=True), ("data.h5", "rec/driving_log.csv: there is no such file")),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
