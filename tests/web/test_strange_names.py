"""Pages of files whose names are no UTF-8, or have characters that nobody sees."""

import os
import re
import shutil
import sys
from functools import partial
from html import unescape

import pytest
import requests

from bcclone.drive.drive import serve_typed
from bcclone.drive.drive_settings import DriveSettings
from bcclone.game.play import play_typed
from bcclone.game.play_settings import PlaySettings
from bcclone.system.errors import command_line
from tests.drive.drive_server import held_at
from tests.editor.recording_page import looking_at
from tests.processes import wait_for

pytestmark = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="has no file with such a name"
)
# name -> how a page writes it
NAMES = {
    os.fsdecode(b"caf\xe9"): r"caf\udce9",
    "\u202egpj": r"\u202egpj",
    "<b>&\x1b[31m\x85": r"<b>&\x1b[31m\x85",
}
each_name = pytest.mark.parametrize(("name", "written"), NAMES.items(), ids=map(ascii, NAMES))


@each_name
def test_the_page_of_a_recording_shows_its_name(name, written, simulated_recording, tmp_path):
    recording = tmp_path / name
    shutil.copytree(simulated_recording, recording)
    with looking_at(recording) as page:
        answer = requests.get(page.url, timeout=60)
        assert answer.status_code == 200
        assert f"{written}/driving_log.csv</title>" in unescape(answer.text)
        assert page.json("panels")[0]["name"] == str(recording / "driving_log.csv")
        assert page.edit(delete=[[1, 2]])[1] == 200


@pytest.mark.slow
@each_name
@pytest.mark.parametrize("program", ["drive", "play"])
def test_the_page_of_a_drive_has_the_names_of_its_model_and_folder(
    name, written, program, untrained_model, tmp_path
):
    model = tmp_path / f"{name}.h5"
    shutil.copy(untrained_model, model)
    typed = ("bcclone", program, str(model))
    folder = tmp_path / name
    serve, settings, until = {
        "drive": (serve_typed, DriveSettings(model, folder, port=0), "loading"),
        "play": (play_typed, PlaySettings(model, folder, browser=False, port=0), "listening"),
    }[program]
    begin = partial(serve, typed, lambda folder: "")
    with held_at(until, begin, settings) as server:
        url = re.search(r"http://\S+/", "\n".join(server.lines))[0]
        if program == "drive":
            answer = requests.get(url, timeout=60)
            assert answer.status_code == 503
            assert f"Reading {written}.h5." in unescape(answer.text)
        server.goes_on.set()
        answer = wait_for(lambda: (it := requests.get(url, timeout=60)).status_code == 200 and it)
        assert command_line(typed) in unescape(answer.text)
        assert f"/{written}.h5, folder {tmp_path}/{written}</title>" in unescape(answer.text)
