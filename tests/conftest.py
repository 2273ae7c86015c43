"""Data that the tests make themselves, and the shared real data where it is."""

import os
import re
import shutil
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # of all workers of pytest-xdist


from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from bcclone.system.files import locked
from bcclone.system.location import parse_location
from tests.running import ROOT, run_script

SHARED = ROOT.parent / "shared"

pytest_plugins = ["tests.order_and_time"]

# the program nvidia-smi, written by hand
#     {line}: the card that it shows
#     {fields}: words in a query that it does not know
NVIDIA_SMI = """#!{python}
import sys, time
from datetime import datetime
from pathlib import Path
if "{fields}" and any(word in " ".join(sys.argv) for word in "{fields}".split()):
    sys.exit('Field "compute_cap" is not a valid field to query.')
if any(word.startswith("--loop-ms") for word in sys.argv):
    assert "--id=0" in sys.argv
    while True:
        print(datetime.now().strftime("%Y/%m/%d %H:%M:%S.%f")[:-3] + ", 80, 1000", flush=True)
        time.sleep(0.02)
print("{line}")
"""

# ended by signals, on full disks and terminals, by Unix's means: Windows has others
OF_UNIX = re.compile(
    r"import (?:pty|resource|termios)\b|SIG(?:INT|KILL|TERM)"
    r"|drive_server|without_privileges|on_a_full_disk|/dev/|/proc/"
)
if sys.platform == "win32":
    sources = Path(__file__).parent.rglob("test_*.py")
    collect_ignore = [
        str(path) for path in sources if OF_UNIX.search(path.read_text(encoding="utf-8"))
    ]

# as in a shell's background job; the commands would ignore it, too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

for display in ("DISPLAY", "WAYLAND_DISPLAY"):  # without one, no test opens a browser
    os.environ.pop(display, None)

# tests pass while other programs use all cores: the time of an example says nothing
settings.register_profile("bcclone", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bcclone")


def made_once(tmp_path_factory, name, make):
    """Return a folder that make(folder) has filled. Not to be changed.

    It is made once for all workers of pytest-xdist.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a folder in the common one
        base = base.parent
    folder = base / "made_once" / name
    complete = folder.with_suffix(".complete")
    folder.parent.mkdir(exist_ok=True)
    # the lock is that of another file, since the command that fills the folder locks the folder
    with locked(complete, "wait for it", seconds=3600):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder


# ---- recordings


@pytest.fixture(scope="session")
def simulated_recording(tmp_path_factory):
    """The simulator's recording: 120 rows, 8 s, one episode, three cameras. Not to be changed."""
    return made_once(tmp_path_factory, "recording", _record_120_rows) / "lake"


def _record_120_rows(parent):
    folder = parent / "lake"
    record(folder, RecordSettings(laps=0.085, recoveries=0))
    log = folder / "driving_log.csv"
    lines = log.read_text().splitlines(keepends=True)
    assert len(lines) >= 120
    for line in lines[120:]:
        for image in line.split(",")[:3]:
            Path(image).unlink()
    log.write_text("".join(lines[:120]))


@pytest.fixture
def recording(simulated_recording, tmp_path):
    """A copy of the simulated recording that a test may damage."""
    return shutil.copytree(simulated_recording, tmp_path / "recording")


@pytest.fixture(scope="session")
def winding_recording(tmp_path_factory):
    """A recording of a winding road: 25 s, three cameras. Not to be changed."""

    def make(folder):
        options = ("--road", "random:12:shape=winding", "--laps", 0.4, "--recoveries", 0)
        run_script("simulate", "record", folder, *options, "--quiet")

    return made_once(tmp_path_factory, "winding", make)


@pytest.fixture(scope="session")
def loaded_recording(winding_recording):
    """The same in memory, and the recording that benchmarks plant in it. Not to be changed.

    That one is a drive on the mirrored road, in other colours, at twice the speed.
    """
    from benchmarks.planted_faults import load_recording

    loaded = load_recording(str(winding_recording), str(winding_recording))
    steering = loaded.other_steering
    every_second_row = np.concatenate([steering[::2], steering[1::2]])
    other_frames = [np.roll(frame[:, ::-1], 1, axis=2) for frame in loaded.other_frames]
    return replace(loaded, other_steering=every_second_row, other_frames=other_frames)


# ---- stores


@pytest.fixture(scope="session")
def simulated_store(simulated_recording, tmp_path_factory):
    """The store of that recording: blocks of 2 s, one earlier frame. Not to be changed."""

    def make(folder):
        options = ("--block-seconds", 2, "--frame-offsets", 1)
        run_script("preprocess.py", simulated_recording, "-o", folder / "data.h5", *options)

    return made_once(tmp_path_factory, "store", make) / "data.h5"


@pytest.fixture(scope="session")
def sharded_store(simulated_recording, tmp_path_factory):
    """The same store as a folder of shards of at most 1 MB. Not to be changed."""

    def make(folder):
        options = ("--block-seconds", 2, "--frame-offsets", 1, "--shard-mb", 1, "--jobs", 2)
        run_script("preprocess.py", simulated_recording, "-o", folder / "store", *options)

    return made_once(tmp_path_factory, "sharded", make) / "store"


@pytest.fixture(scope="session")
def far_store(sharded_store):
    """These shards at a URL, in the memory of this process. Not to be changed."""
    url = parse_location("memory://stores/lake")
    url.fs.put(str(sharded_store), url.path, recursive=True)
    yield url
    url.fs.rm(url.path, recursive=True)


# ---- models


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory):
    """A model file of the right form whose weights are random but for a fixed seed."""
    return untrained(tmp_path_factory, "untrained.h5")


@pytest.fixture(scope="session")
def untrained_window_model(tmp_path_factory):
    """A model file like untrained_model, for windows of three frames."""
    return untrained(tmp_path_factory, "windows.h5", seq_length=3)


@pytest.fixture(scope="session", params=["gru", "lstm"])
def untrained_recurrent_model(request, tmp_path_factory):
    """Model files like untrained_model, of each recurrent network, for windows of three frames."""
    return untrained(tmp_path_factory, f"{request.param}.h5", 3, request.param)


def untrained(tmp_path_factory, name, seq_length=1, network="cnn"):
    """Return the path of a model file of this name, made once. Not to be changed."""

    def make(folder):
        _save(folder / name, seq_length, network)

    return made_once(tmp_path_factory, name.removesuffix(".h5"), make) / name


def _save(path, seq_length, network):
    from bcclone.dataset.preprocessing import Preprocessing
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    import keras

    from bcclone.model.model_file import save_model
    from bcclone.model.network import build_network

    keras.utils.set_random_seed(1)
    save_model(path, build_network(seq_length=seq_length, network=network), Preprocessing(), {})


def calibrated(model, path, gain=1.0, bias=0.0, framing=None, delay_seconds=0.0):
    """Write a copy of a model for a car of this steering, camera and driver; return its path."""
    from bcclone.model.model_file import SteeringCalibration, calibrated_content

    calibration = SteeringCalibration(gain, bias, delay_seconds)
    path.write_bytes(calibrated_content(model, framing, calibration))
    return path


# ---- what a machine may have


def shared(name):
    """Return a folder of the shared real data, or skip the test where it is not there."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(
            f"needs the shared real data: {path.relative_to(ROOT.parent)} is not beside this clone"
        )
    return path


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Return a function that puts a program of that name, written by hand, on the PATH."""
    if sys.platform == "win32":
        pytest.skip("a script is no program there")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def put(text=None, line="580.159.03, 612, 143771, NVIDIA H200, 9.0", fields=""):
        if text is None:
            text = NVIDIA_SMI.format(python=sys.executable, line=line, fields=fields)
        program = tmp_path / "nvidia-smi"
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))

    return put
