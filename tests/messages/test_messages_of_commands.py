"""commands: options that do not go together, what is refused before anything is done, and the demo's folder."""

from pathlib import Path

import pytest

from bcclone.demo import DemoSettings, run_demo
from tests.messages.told import Message, run_command, tabled


def demo():
    Path("demo").mkdir(exist_ok=True)
    return run_demo(DemoSettings(), print)


def demo_of_failing_commands():
    Path("bcclone.py").write_text("raise SystemExit(3)")  # what `python -m bcclone` runs in this folder
    return demo()


def demo_beside(name):
    Path("demo").mkdir()
    Path("demo", name).touch()
    return demo()


def evaluate(*line):
    return run_command("evaluate", "m.h5", *line)


MESSAGES = [
    Message("commands/drive.py", "--append says to add to a run; name its folder: python drive.py MODEL RUN --append",
            lambda: run_command("drive", "m.h5", "--append")),
    Message("commands/evaluate.py", "--run records what the drive server sees; leave --in-process out",
            lambda: evaluate("--in-process", "--run", "run")),
    Message("commands/evaluate.py", "… is there already; name a new folder for the run",
            lambda: Path("run").mkdir() or evaluate("--run", "run"), ("run is",)),
    Message("commands/evaluate.py", "--… is for many drives; add --suite", lambda: evaluate("--jobs", 2),
            ("--jobs is",)),
    Message("commands/evaluate.py", "only one model can be scored at a time; compare several with --suite",
            lambda: evaluate("n.h5")),
    Message("commands/evaluate.py", "… is for a single drive: the rows of the suite say it themselves; leave it "
            "out", lambda: evaluate("--suite", "--camera-pitch", 1), ("--camera-pitch is",)),
    Message("suite/scenarios.py", "no row of the suite is called …; there are …",
            lambda: evaluate("--suite", "--rows", "lake-99"), ("called lake-99; there are lake-15, lake-30",)),
    Message("suite/run.py", "…: there is no such model; train one with: python model.py data.h5 -o …",
            lambda: evaluate("--suite"), ("m.h5: ", "-o m.h5")),
    Message("suite/run.py", "… is named twice; name each model once",
            lambda: Path("m.h5").touch() or evaluate("m.h5", "--suite"), ("m.h5 is",)),
    Message("commands/options.py", "…: cannot make that folder: …; choose …",
            lambda: evaluate("-o", "/dev/null/pictures"), ("/dev/null/pictures: ", "Not a directory")),
    Message("commands/plots.py", "…: no such picture; there are …",
            lambda: run_command("plots", "m.h5", "--only", "crop,cat"), ("--only: cat: ", "history,crop")),
    Message("commands/plots.py", "…, expected 0 or more", lambda: run_command("plots", "m.h5", "--seed=-1"),
            ("--seed: '-1'",)),
    Message("commands/plots.py", "…, expected a share from 0 to 1",
            lambda: run_command("plots", "m.h5", "--zero-share", "2"), ("--zero-share: '2'",)),
    Message("commands/replay.py", "name models and a recording, or a recording and the --port of a drive server",
            lambda: run_command("replay", "rec")),
    Message("commands/replay.py", "…, expected two shares such as 0.8:1",
            lambda: run_command("replay", "m.h5", "rec", "--part", "half"), ("--part: 'half'",)),
    Message("commands/simulate.py", "--frames …, expected 1 or more, or 0 for each once",
            lambda: run_command("simulate", "replay", "rec", "--frames", -1), ("--frames -1",)),
    Message("demo.py", "… is no demo's notes; remove the folder, or choose another with --folder",
            lambda: demo_beside("steps.json"), ("demo/steps.json is",)),
    Message("demo.py", "… is there, but not from a demo; choose another folder with --folder",
            lambda: demo_beside("forward"), ("demo/forward is",)),
    Message("demo.py", "the demo ends here: `…` failed (exit code …); mend what it says, and run the demo again",
            demo_of_failing_commands, ("`bcclone simulate record demo/forward", "(exit code 3)")),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
