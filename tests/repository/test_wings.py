"""The line works without the wings: a package that lacks them converts a recording, and feeds its samples."""

import os
import shutil
import subprocess
import sys

from tests.conftest import ROOT

PROGRAM = """
import sys
from pathlib import Path

from bcclone.dataset.conversion import convert, open_samples
from bcclone.dataset.preprocess_settings import PreprocessSettings
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.feed.open import choose_feed, open_feed, open_validation_feed
from bcclone.feed.selection import select

made = convert(PreprocessSettings((sys.argv[1],), Path("data.h5"), size=(32, 32)))
with open_samples(["data.h5"]) as data:
    name = choose_feed(data)[0]
    for feed in (
        open_feed(select(data), FeedSettings(name), SamplingSettings(16)),
        open_feed(select(data), FeedSettings("shards"), SamplingSettings(16)),
        open_validation_feed(select(data, True), 16),
    ):
        with feed, feed.epoch(1) as batches:
            print(sum(len(batch) for batch in batches))
print(made.train, made.validation)
"""


def test_a_recording_is_converted_and_fed_without_the_cluster_and_the_lab(simulated_recording, tmp_path):
    shutil.copytree(
        ROOT / "bcclone", tmp_path / "bcclone", ignore=shutil.ignore_patterns("cluster", "lab", "__pycache__")
    )
    line = [sys.executable, "-c", PROGRAM, simulated_recording]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    train, shuffled_by_files, validation, *made = done.stdout.split()
    assert [train, validation] == made
    assert shuffled_by_files == train
