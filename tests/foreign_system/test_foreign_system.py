"""The commands on a system that differs from this one, as far as Linux can show it: see
sitecustomize.py.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from bcclone.recording.log import read_log
from tests.chain import run_chain
from tests.processes import said
from tests.running import run_process

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="finds open files as Linux does"
)

ROOT = Path(__file__).parents[2]
PROBE = """
import os, signal, sys
from pathlib import Path
print(sys.platform, os.name, hasattr(os, "sync"), hasattr(signal, "SIGKILL"))
try:
    import fcntl
except ModuleNotFoundError as error:
    print(error.name)
Path("a.txt").write_text("\u00fc\\n")
print(Path("a.txt").read_bytes())
with open("a.txt") as held:
    for action in (lambda: Path("a.txt").unlink(), lambda: Path("b.txt").replace("a.txt")):
        try:
            action()
        except PermissionError as error:
            print("in use:", Path(error.filename).name)
"""
RUN_PROBE = (
    "import sys; exec(compile(sys.argv[1], sys.argv[2], 'exec'), {'__name__': 'bcclone.probe'})"
)


@pytest.fixture(autouse=True)
def windows(monkeypatch):
    """Let the processes that this one starts meet Windows' differences."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    for name, value in {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "cp1252",
    }.items():
        monkeypatch.setenv(name, value)


def test_the_differences_are_shown_to_our_code(tmp_path):
    line = [sys.executable, "-c", RUN_PROBE, PROBE, str(ROOT / "bcclone" / "probe.py")]
    done = said(*line, cwd=tmp_path, encoding="cp1252")
    assert done.stdout.splitlines() == [
        "win32 nt False False",
        "fcntl",
        str("ü\r\n".encode("cp1252")),
        "in use: a.txt",
        "in use: a.txt",
    ], done.stderr


@pytest.mark.long
def test_the_four_commands_and_a_resumed_training_run(simulated_recording, tmp_path):
    options = ("--block-seconds", 2, "--frame-offsets", 0)
    _, trained, report, clip, _ = run_chain(
        [simulated_recording], tmp_path, options, ("--epochs", 1), frames=120
    )
    assert (trained["epochs"], report.steers, clip["frames"]) == (1, 119, 120)
    store = tmp_path / "data.h5"
    model = tmp_path / "model.h5"
    line = (
        "model.py",
        store,
        "-o",
        model,
        "--runs",
        tmp_path / "runs",
        "--epochs",
        2,
        "--resume",
        "--json",
    )
    assert json.loads(run_process(*line).stdout)["epochs"] == 2
    # the same bytes on every system
    assert b"\r" not in (tmp_path / "run1" / "driving_log.csv").read_bytes()
    run_process("preprocess.py", simulated_recording, "-o", store, *options, "--force")
    run_process(
        "preprocess.py", simulated_recording, "-o", tmp_path / "shards", *options, "--shard-mb", 4
    )


@pytest.mark.long
def test_the_tools_around_them_run(simulated_recording, untrained_model, tmp_path):
    def run(*line, code=0):
        run_process(*line, code=code, encoding="cp1252")

    lap = tmp_path / "tour ü"
    drive = tmp_path / "drive"
    run("simulate", "record", lap, "--laps", 0.05)
    assert read_log(lap / "driving_log.csv").bad_rows == ()
    run("evaluate", untrained_model, "--laps", 0.01, "--output", drive)
    assert {path.name for path in drive.iterdir()} >= {"figures.json", "map.png"}
    rows = ("--rows", "lake-20", "--laps", 0.01, "--jobs", 2)
    run("suite", untrained_model, *rows, "--output", tmp_path / "suite")
    run("replay", untrained_model, simulated_recording, "--output", tmp_path / "replay")
    run("export", lap, "--to", "tub", "-o", tmp_path / "tub")
    run("import", tmp_path / "tub", "-o", tmp_path / "back")
