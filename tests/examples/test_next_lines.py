"""What comes next: each line is a command that is taken, and who follows the lines alone, from the
command with which a how-to page begins, comes to its end.
"""

import json
import re
import shlex
import shutil
import signal
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest

from bcclone.camera.framing import Framing, Lens
from bcclone.commands import next_steps, split_line
from bcclone.evaluation.evaluate import Evaluation
from bcclone.evaluation.scenarios import select_scenarios
from bcclone.evaluation.settings import EvaluateSettings, SuiteSettings
from bcclone.evaluation.suite import SuiteResult
from bcclone.recording.log import read_log
from bcclone.simulator.score import LinePoint, Score
from tests.conftest import calibrated
from tests.drive.drive_server import serving
from tests.evaluation.conftest import FIGURES
from tests.exchange.driven_recordings import make_driven
from tests.model.foreign.old_models import keras1_config, write
from tests.other_camera import seen_by
from tests.pages import FakePage
from tests.recordings import mirrored, rewrite
from tests.repository.shown import parse, shown_on
from tests.running import ROOT, run_script

PAGES = ROOT / "docs" / "how-to"
CAMERA = Framing(160, 120, lens=Lens(66.0, 40.0, 79.5))
SHORTER = {
    "simulate record": ("--laps", "0.1", "--recoveries", "0"),
    "calibrate": ("--focal-px", "66", "--horizon-row", "40"),
    "model": ("--epochs", "1", "--no-plots"),
    "evaluate": ("--laps", "0.02"),
    "improve": ("--rows", "lake-30", "--laps", "0.02", "--epochs", "1"),
}
LINE = re.compile(r"^(next|then): +(?:\S+ -m )?(?:\S*/)?bcclone (.*)$", re.MULTILINE)
EXAMPLES = {
    "edit": ["--delete", "4", "5"],
    "recordings": ["laps", "back"],
    "options": ["--framing", "car.framing.json", "--left-positive"],
    "changed": ("--fog", "5"),
    "preprocess": ["--preprocess", "carnd-128-rgb"],
    "clip": ["-o", "clip2.mp4"],
    "exported": ["-o", "model2.tflite"],
    "epochs": "9",
}


def words_of(text):
    words = shlex.split(text, comments=True)
    if words[0] == "python":
        words = [words[1].removesuffix(".py"), *words[2:]]
    return words[1:] if words[0] == "bcclone" else words


def run_line(words, folder, code=0):
    """Run a command, made short; return the commands that it says to run next."""
    words = [str(word) for word in words]
    name, _ = split_line(words)
    done = run_script(*words, *SHORTER.get(name, ()), cwd=folder, code=code)
    return [words_of(command) for _, command in LINE.findall(done.stdout + done.stderr)]


def walk(words, folder, end):
    """Follow the lines from a command until a later one named `end` has run; return all."""
    waiting = [words]
    walked = []
    while waiting:
        walked.append(waiting.pop(0))
        assert len(walked) < 12, walked
        following = run_line(walked[-1], folder)
        if len(walked) > 1 and split_line(walked[-1])[0] == end:
            return walked
        waiting = following + waiting
    raise AssertionError(f"no line leads from {walked[-1]} to {end}")


def shown_words(page, **names):
    """Return the commands of a page, with other names of files in them."""
    shown = [words_of(one.text) for one in shown_on(page) if one.ours]
    return [[names.get(word, word) for word in words] for words in shown]


def names_in(commands):
    return [split_line(words)[0] for words in commands]


# ---- the table


@pytest.mark.parametrize("made", next_steps._NEXT)
def test_each_line_is_a_command_that_is_taken(made):
    names = re.findall(r"{(\w+)}", " ".join(next_steps._NEXT[made]))
    lines = next_steps._lines(made, **{name: EXAMPLES.get(name, name) for name in names})
    for line in lines.splitlines():
        command = line.partition("  # ")[0].rpartition(": ")[2]
        if "manage.py" not in command:
            parse(command)


def test_a_report_leaves_out_what_was_just_run():
    model = Path("model.h5")
    every = ["evaluate", "drive", "video", "play", "suite", "replay"]

    def names(commands):
        assert all("--preprocess" in line or " video " in line for line in commands.values())
        return names_in(map(words_of, commands.values()))

    one = EvaluateSettings(preprocess="carnd-128-rgb")
    assert names(next_steps.drive_commands(model, one)) == every[1:]
    others = [name for name in every if name != "suite"]
    assert names(next_steps.suite_commands(suite_of(model, 0), "carnd-128-rgb")) == others
    # where it left the road, a person takes over first
    commands = next_steps.suite_commands(suite_of(model, 3), "carnd-128-rgb")
    assert names(commands) == ["play", *others]
    first, *_ = commands.values()
    assert first == "bcclone play model.h5 --road mountain --preprocess carnd-128-rgb"
    for row, changed in (("mountain-reverse", "--reverse"), ("shadows", "--sun-elevation 12")):
        first, *_ = next_steps.suite_commands(suite_of(model, 3, row), None).values()
        assert changed in first
    # what a file of a car has learned cannot be trained further here
    of_a_car = next_steps.suite_commands(suite_of(Path("model.onnx"), 3), None)
    assert not any("--road" in line for line in of_a_car.values())


def suite_of(model, interventions, row="mountain"):
    """Return the result of a suite of one drive."""
    score = Score(**FIGURES | {"interventions": interventions})
    drive = Evaluation(score, None, (LinePoint(0, 0, 0),), ())
    rows = select_scenarios(SuiteSettings((row,)))
    return SuiteResult({"model": model}, rows, {row: {"model": drive}})


def test_names_that_a_shell_would_split_stay_one_word():
    line = next_steps.after_recording(Path("my lap"))
    assert line == "next: bcclone preprocess 'my lap' --check"


def test_each_line_writes_what_does_not_exist_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    free = {name: next_steps.after_model(Path(name)) for name in ("model.h5", "lake.h5")}
    assert "-o score" in free["model.h5"]
    assert "drive lake.h5 run1" in free["lake.h5"]
    for name in ("run1", "run2", "score", "drive2", "recordings/tub"):
        Path(name).mkdir(parents=True)
    for name in ("run.mp4", "data.h5"):
        Path(name).touch()
    later = next_steps.after_model(Path("model.h5"))
    assert "-o score2" in later
    assert "drive model.h5 run3" in later
    assert next_steps.after_improvement(Path("better.h5")).endswith("-o drive3")
    shown = next_steps.after_evaluation(Path("run"), Path("model.h5"))
    assert "run --overlay --model model.h5 -o run2.mp4 " in shown
    report = next_steps.drive_commands(Path("model.h5"), EvaluateSettings()).values()
    assert {"bcclone drive model.h5 run3", "bcclone video run3 --overlay"} < set(report)


# ---- what decides


@pytest.mark.slow
def test_a_recording_is_checked_a_good_one_is_preprocessed_and_a_bad_one_mended(
    winding_recording, recording, tmp_path
):
    (line,) = run_line(["preprocess", winding_recording, "--check"], tmp_path)
    assert line == ["preprocess", str(winding_recording), "-o", "data.h5"]
    shutil.copytree(winding_recording, tmp_path / "bad")
    rewrite(tmp_path / "bad", mirrored)
    edit, again = run_line(["preprocess", "bad", "--check"], tmp_path, code=1)
    assert edit == ["edit", "bad"]
    assert again == ["preprocess", "bad", "--check"]


@pytest.mark.slow
def test_a_place_that_a_replayed_model_does_not_read_is_trained_on(winding_recording, tmp_path):
    model = ROOT / "models" / "any-road.h5"
    more = ["--preprocess", "64x64, RGB"]

    def replayed(*models):
        """Return the commands that a replay prints, and those of its report."""
        line = ["replay", *models, winding_recording, *more, "-o", "report", "--force"]
        printed = run_line(line, tmp_path)
        page = (tmp_path / "report" / "report.html").read_text()
        return printed, [words_of(unescape(text)) for text in re.findall("<code>(.*)</code>", page)]

    (evaluate,), reported = replayed(model)
    assert evaluate == ["evaluate", str(model), "-o", "score", *more]
    assert reported[0] == ["evaluate", str(model), "-o", "score", *more]
    assert names_in(reported) == ["evaluate", "drive", "video", "play", "suite"]
    wrong = calibrated(model, tmp_path / "wrong.h5", gain=-1.0)
    check = ["preprocess", str(winding_recording), "--check"]
    assert replayed(wrong) == ([check], [check])
    # a person chooses among several
    assert replayed(model, wrong) == ([], [])


def test_the_last_command_of_a_drive_depends_on_who_steered(untrained_model, tmp_path):
    driven = make_driven(tmp_path / "drive1")
    line = next_steps.after_drive(driven, untrained_model)
    assert words_of(line.partition(": ")[2])[0] == "improve"
    store = ["preprocess", driven, "-o", tmp_path / "corrected.h5", "--rows", "good"]
    (train,) = run_line(store, tmp_path)
    assert (train[0], train[-2:]) == ("model", ["--from", "MODEL"])
    alone = make_driven(tmp_path / "run1", drivers=False)
    assert next_steps.after_drive(alone, untrained_model).startswith("next: bcclone video ")


@pytest.fixture(scope="module")
def tub(winding_recording, tmp_path_factory):
    """A tub of a car that the built-in expert drives, with the pictures of a small camera."""
    folder = tmp_path_factory.mktemp("car") / "tub"
    run_script("export", winding_recording, "-o", folder, "--to", "tub", "--cameras", "center")
    for path in (folder / "images").glob("*.jpg"):
        cv2.imwrite(str(path), seen_by(CAMERA, cv2.imread(str(path))))
    return folder


@pytest.mark.slow
def test_a_framed_store_begins_with_the_calibrated_model_or_with_any_camera(tub, tmp_path):
    (tmp_path / "car.framing.json").write_text(CAMERA.to_json())
    framed = ["import", tub, "-o", "recordings/tub", "--framing", "car.framing.json"]
    (check,) = run_line(framed, tmp_path)
    assert check == ["preprocess", "recordings/tub", "--check"]
    (store,) = run_line(check, tmp_path)
    assert store == ["preprocess", "recordings/tub", "-o", "data.h5", "--size", "64"]
    any_camera = str(ROOT / "models" / "any-camera.h5")
    (train,) = run_line(store, tmp_path)
    assert train[train.index("--from") + 1] == any_camera
    # calibrate has written car.h5 beside the framing
    shutil.copy(any_camera, tmp_path / "car.h5")
    (train,) = run_line([*store, "--force"], tmp_path)
    assert train[:6] == ["model", "data.h5", "-o", "pilot.h5", "--from", "car.h5"]
    # a network of other images is no start
    (train,) = run_line(["preprocess", "recordings/tub", "-o", "large.h5"], tmp_path)
    assert train == ["model", "large.h5", "-o", "model.h5"]


@pytest.mark.slow
def test_a_damaged_import_json_is_none(tub, tmp_path):
    (calibrate,) = run_line(["import", tub, "-o", "plain"], tmp_path)
    assert calibrate[:1] == ["calibrate"]
    assert run_line(["preprocess", "plain", "--check"], tmp_path) == [calibrate]
    origin = json.loads((tmp_path / "plain" / "import.json").read_text())
    assert (origin["source"], origin["format"], origin["options"]) == (str(tub), "tub", {})
    for content in ("{", '{"source": 1}', '{"source": "x", "format": "tub", "options": {"a": 1}}'):
        (tmp_path / "plain" / "import.json").write_text(content)
        (train,) = run_line(["preprocess", "plain", "-o", "data.h5", "--force"], tmp_path)
        assert train[0] == "model"


# ---- the walks


def make_frames(tub, recording, folder):
    """Write the tub's pictures into a folder, with a table of angles in rad, positive to the left,
    as another car has them.
    """
    shutil.copytree(tub / "images", folder)
    rows = read_log(recording / "driving_log.csv").rows
    pictures = sorted(folder.iterdir(), key=lambda path: int(path.name.partition("_")[0]))
    lines = ["image,steering_angle,time_ms"]
    for picture, steering, time_ms in zip(pictures, rows.steering, rows.time_ms, strict=True):
        lines.append(f"{picture.name},{-steering * np.radians(25)},{time_ms}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("page", "begin", "end"),
    [
        (ROOT / "docs" / "tutorial.md", "simulate record laps", "video"),
        (PAGES / "own-recording.md", "preprocess RECORDING --check", "evaluate"),
        (PAGES / "roads.md", "preprocess RECORDING -o short.h5 --size 64", "model"),
        (PAGES / "models.md", "import-model old.h5", "evaluate"),
        (PAGES / "real-car.md", "calibrate models/any-camera.h5 tub", "export"),
        (PAGES / "real-car.md", "import frames -o recordings/plain", "import"),
        (PAGES / "film.md", "import drive.mp4 -o rec", "replay"),
    ],
)
def test_the_lines_alone_lead_from_the_first_command_of_a_page_to_its_end(
    page, begin, end, winding_recording, tub, tmp_path
):
    (tmp_path / "models").symlink_to(ROOT / "models")
    shutil.copytree(winding_recording, tmp_path / "RECORDING")
    write(tmp_path / "old.h5", keras1_config())
    shutil.copytree(tub, tmp_path / "tub")
    make_frames(tub, winding_recording, tmp_path / "frames")
    shown = shown_words(page, **{"drive.mp4": "tub", "68": "101", "370": "25"})
    begin = words_of(begin.replace("drive.mp4", "tub"))
    first = next(words for words in shown if words[: len(begin)] == begin)
    walked = walk(first, tmp_path, end)
    if page.name in ("real-car.md", "film.md"):  # word by word
        typed = [shlex.join(words).replace(f"{ROOT}/", "") for words in walked]
        assert set(typed) <= {shlex.join(words) for words in shown}
    assert set(names_in(walked)) <= set(names_in(shown))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_take_over_ends_with_a_model_that_learned_from_the_person(untrained_model, tmp_path):
    begin, *_ = (words for words in shown_words(PAGES / "take-over.md") if words[0] == "play")
    shutil.copy(untrained_model, tmp_path / "model.h5")
    with (
        serving(*begin[1:], "--no-browser", script="play", cwd=tmp_path) as server,
        FakePage(server.port) as page,
    ):
        page.until(lambda state: state["speed_mph"] > 3, throttle_key=0)
        page.send(set={"recording": True})
        page.until(lambda state: state["take_over"] == 1, steering=0.5)
        recorded = page.until(lambda state: state["recording"]["on"], steering=0.5)["recording"]
        enough = recorded["recorded"] + 20
        page.until(lambda state: state["recording"]["recorded"] > enough, steering=0.2)
        page.send(set={"recording": False})
        page.until(lambda state: not state["recording"]["on"], throttle_key=0)
        server.end(signal.SIGINT)
    (improve,) = [words_of(command) for _, command in LINE.findall(server.output)]
    assert improve == ["improve", "model.h5", "drive1", "-o", "better.h5"]
    run_line(improve, tmp_path, code=None)  # 1 where it is no better
    assert (tmp_path / "better-improve" / "models" / "01.h5").is_file()
