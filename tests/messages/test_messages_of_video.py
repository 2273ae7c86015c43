"""video: what is no run, and what the encoder did not finish."""

from pathlib import Path

import numpy as np
import pytest

from bcclone.pictures.encoder import encode
from tests.messages.refusals import refusal, run_command
from tests.pictures.video_runs import make_run
from tests.running import run_process


def video(*line):
    return run_command("video", *line)


def encoded(name):
    return encode(Path(name), [np.zeros((160, 320, 3), np.uint8)] * 5, 60.0)


def without_ffmpeg(monkeypatch):
    make_run(Path("run"), 3)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nonexistent")
    said = run_process("video.py", "run", code=1).stderr
    assert not Path("run.mp4").exists()
    return said


REFUSALS = [
    refusal(lambda: video("run", "--model", "m.h5"), "--model", "--overlay"),
    refusal(lambda: video("run"), "run", "no such run folder", "bcclone drive model.h5 run"),
    refusal(lambda: Path("run").mkdir() or video("run"), "run", "*.jpg", "the folder of a run"),
    refusal(without_ffmpeg, "ffmpeg", "/nonexistent", "bcclone doctor", by=()),
    refusal(lambda: encoded("no/clip.mp4"), "No such file or directory"),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_run_that_gives_no_video_is_refused_with_what_is_missing(mistake, check_refusal):
    check_refusal(mistake)
