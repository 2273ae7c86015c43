"""commands: options that do not go together, inputs that are none, and the demo's folder."""

from pathlib import Path

import pytest

from bcclone.system.files import locked
from tests.messages.refusals import refusal, run_command
from tests.messages.small_recording import make_recording


def demo_whose_first_step_fails():
    Path("demo", "steps").mkdir(parents=True)
    with locked(Path("demo", "first"), "wait"):
        return run_command("demo")


def demo_beside(name):
    Path("demo").mkdir()
    Path("demo", name).touch()
    return run_command("demo")


def evaluate(*line):
    return run_command("evaluate", "m.h5", *line)


def suite(*line):
    return run_command("suite", "m.h5", *line)


def improve_in_the_wrong_order():
    make_recording("rec")
    Path("model.h5").touch()
    return run_command("improve", "rec", "model.h5", "-o", "new.h5")


REFUSALS = [
    refusal(
        lambda: run_command("edit", "rec", "--delete", "10-20"),
        "argument --delete: expected 2 arguments, such as: --delete 120 8.5s",
        code=2,
    ),
    refusal(
        improve_in_the_wrong_order,
        "rec: is a recording, expected a model",
        "the model comes before the recordings",
    ),
    refusal(lambda: run_command("drive", "m.h5", "--append"), "--append", "RUN"),
    refusal(lambda: suite("--suite", "testng"), "testng", "standard", "testing", "roads", code=2),
    refusal(
        lambda: run_command("export", "m.h5", "--to", "onnx", "--cameras", "left"),
        "--cameras",
        "--to onnx",
    ),
    refusal(
        lambda: Path("rec").mkdir() or run_command("export", "rec", "--to", "onnx"),
        "rec",
        "folder",
        "--to csv",
    ),
    refusal(lambda: run_command("play", "--road", "nope"), "no track 'nope'", "lake, mountain"),
    refusal(
        lambda: run_command("improve", "m.onnx", "--expert", "-o", "n.h5"), "m.onnx", "ONNX", ".h5"
    ),
    refusal(lambda: suite("--rows", "lake-99"), "lake-99", "did you mean lake-30"),
    refusal(lambda: Path("m.h5").touch() or suite("m.h5"), "m.h5", "twice"),
    refusal(
        lambda: evaluate("-o", "/dev/null/pictures"),
        "/dev/null: cannot make that folder",
        "choose another",
    ),
    refusal(
        lambda: Path("run1").mkdir() or evaluate("--run", "run1"), "run1: exists already", "--run"
    ),
    refusal(
        lambda: suite("--jobs", 2, "--scheduler", "tcp://127.0.0.1:1"),
        "--scheduler",
        "leave --jobs out",
    ),
    refusal(
        lambda: run_command("replay", "rec", "--fraction", "0.5"), "--fraction", "0.8:1", code=2
    ),
    refusal(
        lambda: run_command("replay", "rec", "m.h5", "rec", "--fraction", "1:0.5"),
        "--fraction 1:0.5",
    ),
    refusal(
        lambda: run_command("replay", "rec"),
        "only rec is given",
        "bcclone replay MODEL RECORDING",
    ),
    refusal(lambda: demo_beside("notes"), "demo", "no folder of results", "choose another name"),
    refusal(
        demo_whose_first_step_fails,
        "bcclone simulate record",
        "first",
        "is writing it",
        "begin again",
    ),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_an_impossible_command_is_refused_with_what_would_be_possible(mistake, check_refusal):
    check_refusal(mistake)
