"""Every command that README and docs/ show succeeds; with options that make it short."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import keras
import PIL.Image
import pytest

from bcclone.camera.framing import Framing
from bcclone.commands import COMMANDS
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.model_file import save_model
from bcclone.model.network import build_network
from tests.drive.drive_server import Server, serving
from tests.model.foreign.old_models import keras1_config, write
from tests.processes import said
from tests.repository.shown import PAGES, shown_on
from tests.running import ROOT, command, run_process

RECORDS = {
    path.name
    for folder in ("docs/decisions", "benchmarks/lab-log")
    for path in (ROOT / folder).glob("*.md")
}
# without what it works on: a name, and no command
ONLY_NAMED = {f"bcclone {name}" for name in COMMANDS} - {"bcclone doctor"}
ONLY_NAMED |= {"bcclone simulate", "bcclone simulate record DIR"}
MINUTES = ("python -m benchmarks ", "bcclone demo")  # tests of their own run them smaller
SMALLER = {
    "simulate record": ("--laps", "0.02"),
    "model": ("--epochs", "1"),
    "evaluate": ("--laps", "0.02"),
    "simulate drive": ("--laps", "0.02"),
}
LISTENING = ("bcclone simulate drive",)
JUDGING = ("bcclone doctor",)  # exit code 1 where this machine lacks something


def to_run(page):
    """Return the commands of a page that can be run, each once."""
    commands = dict.fromkeys(one.text for one in shown_on(page) if one.ours and one.why_not is None)
    return [text for text in commands if text not in ONLY_NAMED and not text.startswith(MINUTES)]


def test_shown_commands_that_are_not_run_are_marked_with_a_reason():
    shown = [one for page in PAGES if page.name not in RECORDS for one in shown_on(page)]
    assert [one.text for one in shown if not one.ours and one.why_not is None] == []


@pytest.fixture(scope="module")
def things(tmp_path_factory, untrained_model):
    """Make the files that the commands need, under the names in the pages: recordings, stores,
    models, runs.
    """
    folder = tmp_path_factory.mktemp("things")
    for line in (
        ("simulate", "record", "laps", "--laps", "0.25", "--recoveries", "0"),
        ("preprocess", "laps", "-o", "data.h5", "--cameras", "center"),
        ("preprocess", "laps", "-o", "both.h5", "--cameras", "center", "--size", "64"),
    ):
        run_process(*line, cwd=folder)
    run_process("export", "laps", "-o", "SOURCE", "--to", "tub", cwd=folder)
    run_process("export", "laps", "-o", "lake_table", "--to", "csv", cwd=folder)
    (folder / "car.framing.json").write_text(Framing(320, 160).to_json())
    for name in (
        "RECORDING",
        "OTHER_RECORDING",
        "fog",
        "back",
        "lake",
        "mountain",
        "lap1",
        "lap2",
        "drive1",
        "run1",
        "run2",
        "run7",
    ):
        shutil.copytree(folder / "laps", folder / name)
    _write_frames(folder)
    for name in ("mountain.h5", "laps.h5"):
        shutil.copy(folder / "data.h5", folder / name)
    shutil.copytree(ROOT / "models", folder / "models")
    for name in ("other.h5", "older.h5", "mine.h5", "pilot.h5", "before.h5", "after.h5"):
        shutil.copy(ROOT / "models" / "lake.h5", folder / name)
    # a model as model.py writes it now, also for plain Keras
    shutil.copy(untrained_model, folder / "model.h5")
    for name in ("old.h5", "old_model.h5"):
        write(folder / name, keras1_config())
    # its Lambda layer calls a function that is not in the file
    config = keras1_config()
    config["config"][0]["config"] |= {"function": "normalize", "function_type": "function"}
    write(folder / "lambda.h5", config)
    _write_model_with_speed(folder / "fast.h5")
    (folder / "settings.toml").write_text("epochs = 20\nzero-fraction = 0.3\n")
    (road,) = re.findall(
        r"```json\n(.*?)```", (ROOT / "docs" / "how-to" / "roads.md").read_text(), re.DOTALL
    )
    (folder / "bend.json").write_text(road)
    (folder / "interpolated.csv").write_text("frame_id,filename\ncenter_camera,center/1.jpg\n")
    return folder


def _write_model_with_speed(path):
    """Write an untrained model that also predicts the speed."""
    keras.utils.set_random_seed(1)
    save_model(path, build_network(network="cnn", outputs=2), Preprocessing(), {})


def _write_frames(folder):
    """Write a minute of frames of another camera, FRAMES, and tables for them."""
    (folder / "FRAMES").mkdir()
    lines = ["frame_id,steering_angle"]
    for number in range(40):
        frame_id = 1479425441182877835 + number * 2_000_000_000
        PIL.Image.new("RGB", (640, 480), (number, 120, 90)).save(
            folder / "FRAMES" / f"{frame_id}.jpg"
        )
        lines.append(f"{frame_id},{number % 7 / 10}")
    for name in ("labels.csv", "predictions.csv"):
        (folder / name).write_text("\n".join(lines))


@pytest.fixture
def place(things, tmp_path):
    """Copy these files, so that each command begins in the same state."""
    copied = shutil.copytree(things, tmp_path / "place", copy_function=copy)
    yield copied
    shutil.rmtree(copied)


def copy(source, target):
    """Copy what a command may write into; link an image."""
    if source.endswith(".jpg"):
        os.link(source, target)
    else:
        shutil.copy(source, target)


def words_of(text):
    """Return the words of a command, with placeholders replaced by files that exist."""
    stand_for = {"RECORDING...": "RECORDING", "MODEL...": "model.h5", "MODEL": "model.h5"}
    words = [
        stand_for.get(word, word) for word in shlex.split(text) if word not in ("python", "bcclone")
    ]
    return [words[0].removesuffix(".py"), *words[1:]]


def remove_outputs(words, place):
    """Remove the outputs that the command will write."""
    outputs = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-o", "--output")]
    if words[0] == "model" and not outputs:
        outputs = ["model.h5"]
    if words[:2] == ["simulate", "record"] or words[0] == "drive":
        outputs += words[2:3]
    if "--add" in words:
        outputs = []
    for output in outputs:
        path = place / output
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def smaller(words):
    """Return options that make the same command shorter."""
    options = next(
        (SMALLER[name] for name in (" ".join(words[:2]), words[0]) if name in SMALLER), ()
    )
    if words[0] == "suite" and "--rows" not in words:
        options = [*options, "--rows", "fog"]
    return list(options)


def run(text, place):
    words = words_of(text)
    if "--predicted-speed" in words:
        shutil.copy(place / "fast.h5", place / "model.h5")
    if "RUN" not in words:  # the simulated car asks a server that records into RUN
        remove_outputs(words, place)
    if words[0] == "drive":
        port = () if "--port" in words else ("--port", "0")  # tests beside this one drive, too
        server = Server(*words, *port, cwd=place)
        assert server.end() == 0  # Ctrl-C is how a drive ends
        return
    done = said(*command(*words, *smaller(words)), cwd=place, timeout=120)
    assert "Traceback" not in done.stderr
    codes = (0, 1) if text.startswith(JUDGING) else (0,)
    assert done.returncode in codes, f"{text}\n{done.stdout}{done.stderr}"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "text", sorted({text for page in PAGES if page.name not in RECORDS for text in to_run(page)})
)
def test_a_shown_command_succeeds(text, place):
    if not text.startswith(LISTENING):
        run(text, place)
        return
    with serving(place / "model.h5", place / "RUN") as server:
        run(f"{text} --port {server.port}", place)


def python_of(page):
    """Return the blocks of Python of a page, without those that are marked as not run."""
    blocks = re.findall(
        r"(<!-- not run by a test: [^\n]+ -->\n+)?```python\n(.*?)```", page.read_text(), re.DOTALL
    )
    return [code for marked, code in blocks if not marked]


@pytest.mark.long
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if python_of(page)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_shown_python_code_runs(page, place):
    given = "from pathlib import Path\nmodel, recording = Path('model.h5'), Path('RECORDING')\n"
    for block in python_of(page):
        subprocess.run([sys.executable, "-c", given + block], cwd=place, check=True, timeout=120)
