"""docs/how-to/real-car.md: from a tub to a file that a donkeycar drives, each command as the page
shows it.
"""

import shlex

import cv2
import pytest

from bcclone.camera.framing import Framing, Lens
from tests.other_camera import seen_by
from tests.repository.shown import shown_on
from tests.running import ROOT, run_process, run_script

PAGE = ROOT / "docs" / "how-to" / "real-car.md"
IN_ORDER = "one after the other"
SHORTER = {"model": ("--epochs", "1"), "calibrate": ("--focal-px", "66", "--horizon-row", "40")}
CAMERA = Framing(160, 120, lens=Lens(66.0, 40.0, 79.5))


def make_tub(folder):
    """Write the tub of a car that the built-in expert drives, with the pictures of a small
    camera.
    """
    road = (
        "--road",
        "random:12:shape=winding",
        "--laps",
        "0.4",
        "--recoveries",
        "0",
        "--speed",
        "20",
    )
    run_script("simulate", "record", folder / "driven", *road, "--quiet")
    run_script(
        "export", folder / "driven", "-o", folder / "tub", "--to", "tub", "--cameras", "center"
    )
    for path in (folder / "tub" / "images").glob("*.jpg"):
        cv2.imwrite(str(path), seen_by(CAMERA, cv2.imread(str(path))))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_lead_from_a_tub_to_a_file_for_donkeycar(tmp_path):
    make_tub(tmp_path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    commands = [one.text for one in shown_on(PAGE) if one.why_not and IN_ORDER in one.why_not]
    assert len(commands) == 7
    for text in commands:
        script, *words = [word for word in shlex.split(text) if word not in ("python", "bcclone")]
        name = script.removesuffix(".py")
        run_process(script, *words, *SHORTER.get(name, ()), "--quiet", cwd=tmp_path)
    assert (tmp_path / "pilot.tflite").stat().st_size > 100_000
    for name in ("car.framing.json", "car.framing.png"):
        assert (tmp_path / name).exists()
    assert (tmp_path / "recordings" / "tub" / "framing.json").read_text() == (
        tmp_path / "car.framing.json"
    ).read_text()
