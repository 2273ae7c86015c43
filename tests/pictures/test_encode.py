"""The encoder reads pictures one after the other, and stops after the last one, or when drawing one
fails.
"""

import os
import subprocess
import sys
import weakref

import cv2
import numpy as np
import psutil
import pytest

from bcclone.pictures.encoder import encode
from tests.pictures.video_runs import read_frames
from tests.processes import said


def test_the_encoder_ends_when_a_picture_cannot_be_drawn(tmp_path):
    path = tmp_path / "clip.mp4"

    def pictures():
        yield from [np.zeros((160, 320, 3), np.uint8)] * 7
        raise RuntimeError("no picture")

    with pytest.raises(RuntimeError, match="no picture"):
        encode(path, pictures(), 60.0)
    assert [child.name() for child in psutil.Process().children() if "ffmpeg" in child.name()] == []


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_only_a_few_pictures_are_in_memory_at_a_time(tmp_path, name):
    alive = set()
    most = 0

    def pictures():
        nonlocal most
        for number in range(500):
            picture = np.full((32, 64, 3), number % 250, np.uint8)
            alive.add(number)
            weakref.finalize(picture, alive.discard, number)
            most = max(most, len(alive))
            yield picture
            del picture

    assert encode(tmp_path / name, pictures(), 12.0) == 500
    assert most <= 4


def test_an_mp4_is_cropped_to_an_even_size_in_the_format_that_players_know(tmp_path):
    path = tmp_path / "clip.mp4"
    assert encode(path, [np.zeros((81, 161, 3), np.uint8)] * 3, 60.0) == 3
    assert read_frames(path)[1][0].shape == (80, 160, 3)
    clip = cv2.VideoCapture(str(path))
    names = [int(clip.get(what)) for what in (cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_CODEC_PIXEL_FORMAT)]
    clip.release()
    assert [name.to_bytes(4, "little") for name in names] == [b"h264", b"I420"]


MAKES_A_CLIP = """
import os, sys
from pathlib import Path
import numpy as np
from bcclone.pictures.encoder import encode
path = Path("clip.mp4").absolute()
frame = np.zeros((16, 32, 3), np.uint8)
assert encode(path, [frame] * 3, 60.0) == 3
assert not {"SET_BY", "FFMPEG_BINARY", "FFPLAY_BINARY"} & set(os.environ)
assert "dotenv" not in sys.modules
"""


@pytest.mark.parametrize(
    "start",
    [
        ("-c", MAKES_A_CLIP),
        pytest.param(("-i", "-c", MAKES_A_CLIP), marks=pytest.mark.slow),
        ("script.py",),
    ],
    ids=["a line", "as in a notebook", "a file"],
)
def test_a_file_of_variables_in_the_current_folder_or_above_is_not_read(tmp_path, start):
    """moviepy reads `.env`, and runs what it names as FFMPEG_BINARY; it also runs an ffplay on the
    PATH.
    """
    folder = tmp_path / "recording"
    mark = tmp_path / "mark"
    folder.mkdir()
    for name in ("program", "ffplay", "ffmpeg"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (folder / name).chmod(0o755)
    for at in (folder, tmp_path):
        (at / ".env").write_text(
            f"FFMPEG_BINARY={folder / 'program'}\nFFPLAY_BINARY={folder / 'program'}\nSET_BY=env\n"
        )
    (folder / "script.py").write_text(MAKES_A_CLIP)
    names = ("FFMPEG_BINARY", "FFPLAY_BINARY", "IMAGEIO_FFMPEG_EXE")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    ended = said(sys.executable, *start, cwd=folder, env=environment, stdin=subprocess.DEVNULL)
    assert (ended.returncode, (folder / "clip.mp4").is_file()) == (0, True), ended.stderr
    assert "Error" not in ended.stderr  # -i goes on after one
    assert not mark.exists()
