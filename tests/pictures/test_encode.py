"""The encoder reads pictures one after the other, and stops after the last one, or when drawing one
fails.
"""

import os
import re
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
from tests.running import ROOT


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


WRITES_A_CLIP = """
from pathlib import Path
import numpy as np
from bcclone.pictures.encoder import encode, new_clip
from bcclone.system.errors import UserError
try:
    with new_clip(Path("clip.mp4")) as path:
        encode(path, [np.zeros((160, 320, 3), np.uint8)] * 100, 60.0)
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="the ffmpeg of this test is a script")
@pytest.mark.parametrize(
    ("printed", "told", "left_out"),
    [
        ("[out#0/mp4 @ 0x5] No space left on device", "No space .*; free some space", "ulimit"),
        ("[a @ 0x5] pthread_create() failed: 11", "pthread_create.*ulimit", "space"),
        (
            "[a @ 0x5] Error while opening encoder",
            "Error while opening encoder; free some space.*ulimit",
            "0x5",
        ),
        ("", "it ended without a word; free some space.*ulimit", "MoviePy"),
    ],
)
def test_what_may_be_short_is_said_where_ffmpeg_fails(tmp_path, printed, told, left_out):
    """ffmpeg does not always say whether room, memory or threads are short."""
    ffmpeg = tmp_path / "ffmpeg"
    errors = [printed, "Conversion failed!"] if printed else []
    ffmpeg.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"sys.exit('-version' not in sys.argv and {os.linesep.join(errors)!r})\n"
    )
    ffmpeg.chmod(0o755)
    environment = os.environ | {"IMAGEIO_FFMPEG_EXE": str(ffmpeg), "PYTHONPATH": str(ROOT)}
    done = said(sys.executable, "-c", WRITES_A_CLIP, cwd=tmp_path, env=environment, check=True)
    assert re.match(f"clip.mp4: ffmpeg cannot write the clip: {told}", done.stdout), done.stdout
    assert left_out not in done.stdout
    assert list(tmp_path.iterdir()) == [ffmpeg]
