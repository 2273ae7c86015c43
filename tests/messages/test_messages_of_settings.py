"""Settings that are out of their range: told by the commands that have an option for them, else by the settings."""

import math
from pathlib import Path

import pytest

from bcclone.augment.settings import AugmentSettings
from bcclone.bench.feeds.meter import Race
from bcclone.feed.settings import FeedSettings
from bcclone.images import Preprocessing
from bcclone.protocol import Control
from bcclone.replay.rollout import Ride
from bcclone.samples import SampleSettings
from bcclone.simulator.expert import ExpertSettings
from bcclone.train.settings import CheckpointSettings, TrainSettings, parse_duration
from bcclone.video import ClipSettings
from tests.messages.told import Message, run_command, tabled


def told(room, template, *line, tells):
    """Return the message of a command that is given these words."""
    return Message(room, template, lambda: run_command(*line), tells)


def born(room, template, kind, tells, **values):
    """Return the message of settings of this kind."""
    return Message(room, template, lambda: kind(**values), tells)


def drive(template, *line, tells):
    return told("drive/settings.py", template, "drive", *line, tells=tells)


def world(template, *line, tells):
    return told("simulator/world.py", template, "evaluate", "m.h5", *line, tells=tells)


def video(template, *line, tells):
    return told("video/settings.py", template, "video", "run", *line, tells=tells)


MESSAGES = [
    told("commands/options.py", "(build) …", "preprocess", "rec", "--size", 4, tells=("image width 4",)),
    told("images.py", "image … …, expected … to … pixels", "preprocess", "rec", "--size", "64x2000",
         tells=("image height 2000, expected 8 to 1024 pixels",)),
    born("images.py", "no way to make … images with … interpolation", Preprocessing, ("HSV",), color="HSV"),
    born("images.py", "rows … to …, expected some of … rows", Preprocessing, ("rows 90 to 80", "160"),
         crop_top=90, crop_bottom=80),
    told("samples.py", "cameras …, expected some of …", "preprocess", "rec", "--cameras", "front",
         tells=("cameras front, expected some of center,left,right",)),
    told("samples.py", "correction …, expected 0 to 1, or auto", "preprocess", "rec", "--correction", 3, tells=("3",)),
    told("samples.py", "… …, expected … to …", "preprocess", "rec", "--lookahead-seconds", 9,
         tells=("lookahead seconds 9.0, expected 0.2 to 5",)),
    told("samples.py", "… …, expected … to …", "preprocess", "rec", "--frame-offsets", 101,
         tells=("frame offsets 101, expected 0 to 100",)),
    told("samples.py", "… …, expected … to …", "preprocess", "rec", "--seq-length", 21,
         tells=("seq length 21, expected 1 to 20",)),
    born("samples.py", "split …, expected blocks or random", SampleSettings, ("'half'",), split="half"),
    told("samples.py", "validation …, expected 0 or more and less than 1", "preprocess", "rec", "--validation", 1,
         tells=("1.0",)),
    told("samples.py", "block seconds …, expected more than 0 and up to a million", "preprocess", "rec",
         "--block-seconds", 0, tells=("0.0",)),
    told("samples.py", "seed …, expected 0 or more", "preprocess", "rec", "--seed", -1, tells=("-1",)),
    born("augment/settings.py", "… …, expected 0 to …", AugmentSettings, ("shift m 2, expected 0 to 1.5",), shift_m=2),
    born("feed/settings.py", "feed …, expected one of …", FeedSettings, ("'tape'", "files, memory, hdf5"), feed="tape"),
    born("feed/settings.py", "chunk size …, expected 1 or more samples", FeedSettings, ("0",), chunk_size=0),
    born("feed/settings.py", "workers …, expected 1 to …, or 0 for what suits the feed", FeedSettings, ("-1", "60"),
         workers=-1),
    born("feed/settings.py", "max queue size …, expected 1 to 4096, or 0 for what suits the feed", FeedSettings,
         ("5000",), max_queue_size=5000),
    born("feed/settings.py", "start method …, expected spawn or fork", FeedSettings, ("'wait'",), start_method="wait"),
    born("train/settings.py", "learning rate …, expected more than 0 and less than 1", TrainSettings, ("2",),
         learning_rate=2),
    born("train/settings.py", "zero share …, expected more than 0, up to 1", TrainSettings, ("0",), zero_share=0),
    born("train/settings.py", "epochs 0 means as many as the time allows, but no time is given; give --time",
         TrainSettings, (), epochs=0),
    born("train/settings.py", "time …, expected one such as 90s, 10m or 1h30m", parse_duration, ("'soon'",),
         text="soon"),
    born("train/settings.py", "… …, expected one of …", TrainSettings, ("loss 'much', expected one of mse, mae",),
         loss="much"),
    born("train/settings.py", "… …, expected …", TrainSettings, ("seq length 21, expected 1 (single frames) to 20",),
         seq_length=21),
    born("train/settings.py", "… …, expected …", CheckpointSettings, ("gpu memory -1, expected MB, or 0",), gpu_memory=-1),
    drive("port …, expected 0 to 65535", "--port", 70000, tells=("port 70000",)),
    drive("… … mph, expected 0 to …", "--min-speed", 99, tells=("min speed 99 mph, expected 0 to 60",)),
    drive("max latency … ms, expected 0 or more", "--max-latency-ms", -1, tells=("-1 ms",)),
    drive("--host … lets other machines in; give them something to know by --token TEXT, or listen on 127.0.0.1",
          "--host", "0.0.0.0", tells=("--host 0.0.0.0",)),
    drive("address …, expected one such as 172.17.0.1", "--allow-from", "home", tells=("'home'",)),
    born("protocol.py", "… …, expected -1 to 1", Control, ("steering nan",), steering=math.nan, throttle=0),
    told("simulator/conditions.py", "… …, expected … to …", "simulate", "record", "rec", "--camera-shift-m", 9,
         tells=("camera shift m 9, expected -3 to 3",)),
    told("simulator/conditions.py", "texture seed …, expected 0 or more", "simulate", "record", "rec",
         "--texture-seed", -1, tells=("-1",)),
    born("simulator/expert.py", "steering …, expected one of …", ExpertSettings, ("'wild'", "smooth"), steering="wild"),
    told("simulator/expert.py", "… …, expected … to …", "simulate", "record", "rec", "--speed", 1,
         tells=("speed mph 1, expected 3 to 30",)),
    told("simulator/record.py", "seed …, expected 0 or more", "simulate", "record", "rec", "--seed", -1, tells=("-1",)),
    told("simulator/track.py", "laps …, expected more than 0 and up to …", "simulate", "record", "rec", "--laps", 0,
         tells=("laps 0",)),
    world("latency … ms, expected 0 to 5000", "--latency-ms", -1, tells=("-1 ms",)),
    world("start offset … m, expected less than … to either side", "--start-offset-m", -99, tells=("-99 m",)),
    world("start turn … degrees, expected -90 to 90", "--start-turn", 91, tells=("91",)),
    world("shove … m, expected 0 to …", "--shove-m", 6, tells=("6 m, expected 0 to 5",)),
    world("shove every … m, expected 1 or more", "--shove-every-m", 0, tells=("0 m",)),
    told("evaluate.py", "speed … mph, expected more than 0 and up to …", "evaluate", "m.h5", "--speed", 99,
         tells=("99 mph, expected more than 0 and up to 30",)),
    told("replay/result.py", "part …:…, expected two shares of the rows such as 0.8:1", "replay", "m.h5",
         "rec", "--part", "1:0", tells=("part 1:0",)),
    told("replay/result.py", "limit … m, expected more than 0 and up to …", "replay", "m.h5", "rec",
         "--limit", 9, tells=("9 m", "up to 5")),
    born("replay/rollout.py", "limit … m, expected more than 0", Ride, ("0 m",), human=None, limit_m=0),
    told("suite/run.py", "jobs …, expected 1 to …", "evaluate", "m.h5", "--suite", "--jobs", 0, tells=("jobs 0",)),
    told("bench/feeds/run.py", "nothing to measure is called …, expected some of …", "bench", "feeds", "--only", "x",
         tells=("called x,", "cold")),
    told("bench/feeds/run.py", "… rounds, expected 1 or more", "bench", "feeds", "--rounds", 0, tells=("0 rounds",)),
    told("bench/feeds/run.py", "… s a turn, expected more than 0 and up to 60", "bench", "feeds", "--seconds", 61,
         tells=("61 s",)),
    told("bench/feeds/run.py", "batches of …, expected 1 to 65536", "bench", "feeds", "--batch-size", 0,
         tells=("batches of 0",)),
    born("bench/feeds/turns.py", "… workers, batches of …, expected 1 or more", Race, ("0 workers",),
         store=Path("data.h5"), workers=0),
    video("range …:…, expected A:B in seconds, 0 or more, with A before B", "--range", "40:10", tells=("40:10",)),
    video("…: a clip's name must end in … or …", "-o", "clip.avi", tells=("clip.avi: ", ".mp4 or .gif")),
    video("… pictures a second, expected 1 to … in a …", "--fps", "60", "-o", "clip.gif", tells=("60 ", "in a .gif")),
    video("width …, expected … to … pixels", "--width", 9, tells=("width 9, expected 160 to 1920",)),
    born("video/settings.py", "… runs, expected one, or two side by side", ClipSettings, ("0 runs",),
         runs=(), output=Path("clip.mp4")),
    video("two runs are shown in step by time; leave --fps out, or give it as real or real:N", "--side-by-side", "run2",
          "--fps", 20, tells=()),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
