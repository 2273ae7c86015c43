"""video: what is no run, and what the encoder did not finish."""

from pathlib import Path

import numpy as np
import pytest

from bcclone.video import ClipSettings
from bcclone.video.encode import encode
from tests.conftest import run_script
from tests.messages.told import Message, run_command, tabled
from tests.video.video_runs import make_known_run, make_run, name_of


def video(*line):
    return run_command("video", *line)


def frames(numbers):
    for _ in numbers:
        yield np.zeros((160, 320, 3), np.uint8)


def encoded(name, onto):
    if onto:
        Path(name).symlink_to(onto)
    return encode(Path(name), frames, 5, ClipSettings((Path("run"),), Path(name)))


def of_no_jpeg():
    Path("run").mkdir()
    Path("run", name_of(0)).write_bytes(b"")
    return video("run")


def without_ffmpeg(monkeypatch):
    make_run(Path("run"), 3)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nonexistent")
    said = run_script("video.py", "run", code=1).stderr
    assert not Path("run.mp4").exists()
    return said


def outside_its_time():
    make_run(Path("run"), 3)
    return video("run", "--range", "40:")


def on_another_track():
    run = make_known_run(Path("run"), 3)
    trace = run / "trace.csv"
    trace.write_text(trace.read_text().replace("lake", "desert"))
    return video("run", "--overlay")


MESSAGES = [
    Message("commands/video.py", "--model is drawn by --overlay; give both", lambda: video("run", "--model", "m.h5")),
    Message("commands/video.py", "--preprocess says how a model's input is made; name one with --model",
            lambda: video("run", "--preprocess", "carnd-128-rgb")),
    Message("commands/video.py", "… is no run folder; name one, or the clip with -o", lambda: video("/"), ("/ is",)),
    Message("commands/video.py", "…, expected a number from 1 to 1000, 'real', or 'real:N'",
            lambda: video("run", "--fps", "fast"), ("--fps: 'fast'",)),
    Message("commands/video.py", "…, expected A:B in seconds, as 10:40, 10: or :40",
            lambda: video("run", "--range", "10"), ("--range: '10'",)),
    Message("video/frames.py", "…: there is no such run folder; record one with: python drive.py model.h5 …",
            lambda: video("run"), ("run: ", "model.h5 run")),
    Message("video/frames.py", "…: no frames (*.jpg) in this folder; record some with: python drive.py model.h5 …",
            lambda: Path("run").mkdir() or video("run"), ("run: ", "model.h5 run")),
    Message("video/frames.py", "…: none of its … frames can be shown, …", of_no_jpeg,
            ("run: none of its 1", "expected JPEG images", "the first: 2026_01_01_00_00_00_000.jpg: no JPEG")),
    Message("video/clip.py", "…: no frame in the range …:…, expected some of 0 to … s; choose another range",
            outside_its_time, ("run: no frame in the range 40:inf, expected some of 0 to 0.2 s",)),
    Message("video/overlay.py", "…: its … names the track …, expected …; mend it, or remove the file, and … is left "
            "out", on_another_track, ("run: its trace.csv names the track 'desert', expected lake or mountain",)),
    Message("video/encode.py", "there is no ffmpeg that runs: …; bcclone doctor says how to mend it", without_ffmpeg,
            ("/nonexistent",)),
    Message("video/encode.py", "the encoder failed: …; is the disk full?", lambda: encoded("no/clip.mp4", None),
            ("No such file or directory",)),
    Message("video/encode.py", "the clip came out with … of … frames; is the disk full?",
            lambda: encoded("clip.mp4", "/dev/null"), ("0 of 5 frames",)),
    Message("video/encode.py", "the clip came out without its end; is the disk full?",
            lambda: encoded("clip.gif", "/dev/null")),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
