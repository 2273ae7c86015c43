"""Settings out of their range: refused by the command that has an option for them, else by the settings class."""

import math
from pathlib import Path

import pytest

from bcclone.dataset.images import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.drive.protocol import Control
from bcclone.evaluate.rollout import Rollout
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.feed_settings import FeedSettings
from bcclone.simulator.world_settings import ExpertSettings
from bcclone.train.train_settings import TrainSettings, parse_duration
from benchmarks.feeds.meter import Benchmark
from tests.messages.refusals import refusal, run_command


def command(line, *words):
    """Return the refusal of a command line."""
    return refusal(lambda: run_command(*line.split()), *words)


def value(make, values, *words):
    """Return the refusal of a settings class, or a function, given these values."""
    return refusal(lambda: make(**values), *words, by=(ValueError,))


REFUSALS = [
    command("preprocess rec --size 4", "size", "4", "8 to 1024"),
    command("preprocess rec --size 64x2000", "size", "2000", "8 to 1024"),
    value(Preprocessing, {"color": "HSV"}, "HSV"),
    value(Preprocessing, {"crop_top": 90, "crop_bottom": 80}, "90", "80", "160"),
    command("preprocess rec --cameras front", "cameras", "front", "center", "left", "right"),
    command("preprocess rec --correction 3", "correction", "3", "0 to 1", "auto"),
    command("preprocess rec --lookahead-seconds 9", "lookahead", "9", "0.2 to 5"),
    command("preprocess rec --frame-offsets 101", "101", "0 to 100"),
    command("preprocess rec --seq-length 21", "seq", "21", "1 to 20"),
    value(SampleSettings, {"split": "half"}, "split", "half", "blocks", "random"),
    command("preprocess rec --validation 1", "validation", "1", "less than 1"),
    command("preprocess rec --block-seconds 0", "block", "seconds", "0", "more than 0"),
    command("preprocess rec --seed -1", "seed", "-1", "0 or more"),
    value(AugmentSettings, {"shift_m": 2}, "shift", "2", "0 to 1.5"),
    value(FeedSettings, {"feed": "tape"}, "feed", "tape", "files, memory, hdf5"),
    value(FeedSettings, {"chunk_size": 0}, "chunk", "0", "1 or more"),
    value(FeedSettings, {"feed_workers": -1}, "feed workers", "-1", "1 to 60"),
    value(FeedSettings, {"max_queue_size": 5000}, "queue", "5000", "1 to 4096"),
    value(TrainSettings, {"epochs": 2.5}, "epochs", "2.5", "a whole number"),
    value(TrainSettings, {"epochs": True}, "epochs", "True", "a whole number"),
    value(TrainSettings, {"learning_rate": "0.1"}, "learning rate", "'0.1'", "a number"),
    value(TrainSettings, {"learning_rate": 2}, "learning rate", "2", "less than 1"),
    value(TrainSettings, {"zero_fraction": 0}, "zero", "0", "1"),
    value(TrainSettings, {"epochs": 0}, "epochs 0", "--time"),
    value(parse_duration, {"text": "soon"}, "soon", "90s", "1h30m"),
    value(TrainSettings, {"loss": "much"}, "loss", "much", "mse, mae"),
    value(TrainSettings, {"seq_length": 21}, "seq", "21", "1", "20"),
    value(TrainSettings, {"gpu_memory": -1}, "gpu", "-1", "0"),
    command("drive --port 70000", "port", "70000", "0 to 65535"),
    command("drive --min-speed 99", "speed", "99", "0 to 60"),
    command("drive --max-latency-ms -1", "latency", "-1", "0 or more"),
    command("drive --host 0.0.0.0", "--host 0.0.0.0", "--token"),
    command("drive --allow-from home", "home", "172.17.0.1"),
    value(Control, {"steering": math.nan, "throttle": 0}, "steering", "nan", "-1 to 1"),
    command("simulate record rec --camera-shift-m 9", "shift", "9", "-3 to 3"),
    command("simulate record rec --texture-seed -1", "seed", "-1", "0 or more"),
    value(ExpertSettings, {"steering": "wild"}, "steering", "wild", "smooth"),
    command("simulate record rec --speed 1", "speed", "1", "3 to 30"),
    command("simulate record rec --seed -1", "seed", "-1", "0 or more"),
    command("simulate record rec --laps 0", "laps", "0", "more than 0"),
    command("evaluate m.h5 --latency-ms -1", "latency", "-1", "0 to 5000"),
    command("evaluate m.h5 --start-offset-m -99", "start offset", "-99", "15"),
    command("evaluate m.h5 --start-turn 91", "start turn", "91", "-90 to 90"),
    command("evaluate m.h5 --perturbation-m 6", "6", "0 to 5"),
    command("evaluate m.h5 --perturbation-every-m 0", "0", "1 or more"),
    command("evaluate m.h5 --speed 99", "speed", "99", "30"),
    command("replay m.h5 rec --fraction 1:0", "1:0", "0.8:1"),
    command("replay m.h5 rec --limit 9", "limit", "9", "5"),
    value(Rollout, {"reference": None, "limit_m": 0}, "limit", "0", "more than 0"),
    command("evaluate m.h5 --suite --jobs -1", "jobs", "-1", "1 to 256"),
    value(Benchmark, {"store": Path("data.h5"), "workers": 0}, "workers", "0", "1 or more"),
    command("video run --range 40:10", "range", "40:10", "A:B"),
    command("video run -o clip.avi", "clip.avi", ".mp4", ".gif"),
    command("video run --fps 60 -o clip.gif", "60", "1 to 50", ".gif"),
    command("video run --width 9", "width", "9", "160 to 1920"),
    command("video run --side-by-side run2 --fps 20", "--fps", "real:N"),
]


@pytest.mark.parametrize("refused", REFUSALS)
def test_a_mistake_is_refused_with_what_the_user_needs(refused, request):
    refused.check(request)
