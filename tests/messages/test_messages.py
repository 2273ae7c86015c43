"""A user's mistake: the error names file and row, what was expected, and the option that helps.

Each mistake is a command line in an empty folder, into which the named things were put.
"""

import re
import shutil
from pathlib import Path

import h5py
import pytest

from bcclone.commands import split_line
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import check_feed
from bcclone.feed.feed_settings import FeedSettings
from bcclone.model.model_file import model_content
from bcclone.model.network import build_network
from bcclone.system.errors import UserError
from tests.dataset.small_stores import some_frames, write_store
from tests.messages.refusals import run_command
from tests.messages.small_recording import DRIVEN, make_recording
from tests.model.foreign import old_models
from tests.pictures.video_runs import make_run
from tests.running import ROOT, run_process

ROW = "center_2019_03_07_20_01_33_184.jpg,left.jpg,right.jpg,0,1,0,30\n"


def put(name, text=""):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def put_model(path, *shape):
    Path(path).write_bytes(model_content(build_network(shape, network="cnn"), Preprocessing(), {}))


def change_store(change, **options):
    """Make a store of a recording, and change its file."""
    run_command("preprocess", make_recording("rec"), "--size", 8, "--force", *options)
    with h5py.File("data.h5", "r+") as file:
        change(file)


def all_for_validation(file):
    table = file["samples"][()]
    table["validation"] = True
    file["samples"][...] = table


def put_huge_weights():
    def enlarge(name, member):
        if isinstance(member, h5py.Dataset):
            member[...] = member[()] * 1e30

    with h5py.File(shutil.copy(ROOT / "models" / "lake.h5", "huge.h5"), "r+") as file:
        file["model_weights"].visititems(enlarge)


def put_bad_rows():
    log = make_recording("bad") / "driving_log.csv"
    log.write_text(log.read_text() + log.read_text().replace(DRIVEN, "25,0,0,12"))


THINGS = {
    "rec": lambda: make_recording("rec"),
    "rec without images": lambda: make_recording("rec", image=None),
    "rec with bad rows": put_bad_rows,
    "rec of short samples": lambda: run_command("preprocess", make_recording("rec")),
    "data.h5": lambda: write_store(Path("data.h5"), some_frames(10)),
    "store of version 99": lambda: change_store(
        lambda file: file.attrs.modify("schema_version", 99)
    ),
    "store for validation": lambda: change_store(all_for_validation),
    "model.h5": lambda: put_model("model.h5", 128, 128, 3),
    "model of other images": lambda: put_model("model.h5", 128, 64, 3),
    "old model": lambda: old_models.write(Path("model.h5"), old_models.keras2_config()),
    "huge.h5": put_huge_weights,
    "run": lambda: make_run(Path("run"), 3),
    "empty folder": lambda: Path("run").mkdir(),
    "file": lambda: Path("data.h5").touch(),
    "note": lambda: put("model.h5", "a note"),
    "two recordings": lambda: [put(f"{name}/driving_log.csv", ROW) for name in ("one", "two")],
    "log here": lambda: put("driving_log.csv", ROW),
    "recordings": lambda: [put(f"recordings/{name}/driving_log.csv", ROW) for name in (1, 2)],
    "more recordings": lambda: [put(f"recordings/{n}/driving_log.csv", ROW) for n in range(3, 8)],
    "models": lambda: run_command("trained-models"),
    "laps": lambda: put("laps/driving_log.csv", ROW),
    "deep": lambda: put("deep/runs/one/driving_log.csv", ROW),
    "demo of another": lambda: put("demo/notes"),
    "model that is a recording": lambda: put("model.h5/driving_log.csv"),
}


def mistake(line, *words, has="", code=1):
    """Return a test parameter: a command line, what its error says, and what lies in the folder."""
    return pytest.param(line, words, has.split(", ") if has else [], code, id=f"{line} {has}"[:70])


MISTAKES = [
    # settings
    mistake("preprocess rec --correction 3", "--correction 3", "0 to 1", "auto"),
    mistake("model --epochs 0", "--epochs 0", "--time"),
    mistake("model -o model.txt", "--output model.txt", ".h5"),
    mistake("evaluate m.h5 --speed 40", "--speed 40", "up to 30"),
    mistake("simulate record rec --wander-m 9", "--wander-m 9", "0 to 2"),
    mistake("drive --allow-from home", "--allow-from home", "172.17.0.1"),
    mistake("video run --range 40:10", "--range 40:10", "A:B"),
    mistake("video run --fps 60 -o clip.gif", "--fps 60", "1 to 50", ".gif"),
    mistake("video run -o x.webm", "--output x.webm", ".mp4"),
    mistake("edit rec --delete 10-20", "--delete: expected 2 arguments", code=2),
    mistake("replay rec --fraction 0.5", "--fraction", "0.8:1", code=2),
    mistake("replay m.h5 rec --fraction 1:0.5", "--fraction 1:0.5"),
    # commands
    mistake("improve rec model.h5 -o new.h5", "rec", "expected a model", has="rec, model.h5"),
    mistake("improve data.h5 model.h5", "data.h5", "MODEL RECORDING", has="data.h5, model.h5"),
    mistake("suite m.h5 --suite testng", "testng", "standard", "testing", "roads", code=2),
    mistake("suite m.h5 --rows lake-99", "lake-99", "did you mean lake-30"),
    mistake("suite m.h5 --jobs 2 --scheduler tcp://127.0.0.1:1", "--scheduler", "--jobs"),
    mistake("suite model.h5 model.h5", "model.h5", "twice", has="model.h5"),
    mistake("export m.h5 --to onnx --cameras left", "--cameras", "--to onnx"),
    mistake("export rec --to onnx", "rec", "folder", "--to csv", has="rec"),
    mistake("play --road nope", "no track 'nope'", "lake, mountain"),
    mistake("evaluate m.h5 -o /dev/null/pictures", "/dev/null", "choose another"),
    # arguments in another command's order
    mistake("improve rec m.h5", "rec: is a recording", "order", "MODEL RECORDING", has="rec"),
    mistake("predict rec m.h5", "rec: is a recording", "order", "MODEL FRAMES", has="rec"),
    mistake("calibrate rec m.h5", "rec: is a recording", "order", "MODEL FRAMES", has="rec"),
    mistake("plots rec m.h5", "rec: is a recording", "order", "MODEL STORE", has="rec"),
    mistake("drive rec m.h5", "rec: is a recording", "order", "MODEL RUN", has="rec"),
    mistake("evaluate rec", "rec: is a recording", "expected a model file", has="rec"),
    mistake("replay rec", "only rec is given", "bcclone replay MODEL RECORDING"),
    mistake("demo", "demo", "no empty folder", "another name", has="demo of another"),
    # recordings
    mistake("preprocess", "RECORDING", "driving_log.csv", "bcclone simulate record", code=2),
    mistake("preprocess lap", "lap: no such file or folder; did you mean laps?", has="laps"),
    mistake("preprocess deep", "no driving_log.csv", "deep/runs/one/driving_log.csv", has="deep"),
    mistake("replay m.h5 */", "*/", "2 recordings", "one/driving_log.csv", has="two recordings"),
    mistake(
        "preprocess data.h5 -o x.h5", "it is a store", "bcclone model data.h5",
        has="data.h5", code=2,
    ),
    mistake("preprocess model.h5", "it is a model", "bcclone drive", has="model.h5", code=2),
    mistake("preprocess rec", "3 images", "rec/IMG", "line 3", "missing", has="rec without images"),
    mistake(
        "preprocess bad", "3 rows", "5%", "line 4", "25", "-1 to 1", "--allow-skips",
        has="rec with bad rows",
    ),
    # stores
    mistake("preprocess rec", "data.h5", "--force", "--add", "-o", has="file"),
    mistake(
        "preprocess rec -o dtaa.h5 --add", "dtaa.h5: no such store", "did you mean data.h5?",
        has="data.h5, rec",
    ),
    mistake("preprocess rec -o laps --add", "laps: no such store", "make one with", has="rec"),
    mistake("preprocess rec -o rec/driving_log.csv --force", "is no store", has="rec"),
    mistake("model", "data.h5: no such store", "bcclone preprocess RECORDING... -o data.h5"),
    mistake("model", "bcclone preprocess driving_log.csv -o data.h5", has="log here"),
    mistake("model b.h5", "bcclone preprocess recordings/1 recordings/2 -o b.h5", has="recordings"),
    mistake("model", "bcclone preprocess -o data.h5", has="recordings, more recordings"),
    mistake("model dtaa.h5", "dtaa.h5: no such", "did you mean data.h5?", has="data.h5"),
    mistake(
        "model data.h5", "version 99", "expected", "bcclone preprocess RECORDING... -o data.h5",
        has="store of version 99",
    ),
    mistake("model", "data.h5", "no training samples", "--validation", has="store for validation"),
    mistake(
        "model --seq-length 20", "data.h5", "20 consecutive rows", "--seq-length",
        has="rec of short samples",
    ),
    # models
    mistake("evaluate model.h5", "model.h5", "neither HDF5 nor .keras", "Keras saved", has="note"),
    mistake("evaluate m.h5", "m.h5", "no such model", "bcclone model data.h5 -o m.h5"),
    mistake("evaluate run1", "run1: no such model", "bcclone model data.h5 -o run1.h5"),
    mistake("drive run1 model.h5", "the model comes first", "bcclone drive model.h5 run1"),
    mistake("drive", "model.h5: no such model", "bcclone trained-models"),
    mistake("drive", "model.h5: no such model", "models/lake.h5", has="models"),
    mistake("drive models/lake.h5", "bcclone trained-models"),
    mistake("evaluate modle.h5", "no such model; did you mean model.h5?", has="model.h5"),
    mistake("evaluate model.h5", "is a recording", has="model that is a recording"),
    mistake("evaluate model.h5", "(None, 128, 64, 3)", "128, 3)", has="model of other images"),
    mistake("evaluate model.h5", "66 x 200 x 3", "--preprocess nvidia", has="old model"),
    mistake(
        "evaluate model.h5 --preprocess nvidia-66x200-yuv", "128x128", "200x66", "--preprocess",
        has="model.h5",
    ),
    mistake("improve m.onnx --expert -o n.h5", "m.onnx", "ONNX", ".h5"),
    mistake(
        "model --epochs 1 --no-plots --no-augment --from huge.h5", "epoch 1", "--learning-rate",
        has="rec of short samples, huge.h5",
    ),
    # runs
    mistake("video run --model m.h5", "--model", "--overlay"),
    mistake("video run", "run", "no such run folder", "bcclone drive model.h5 run"),
    mistake("video run", "run", "*.jpg", "the folder of a run", has="empty folder"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words", "has", "code"), MISTAKES)
def test_a_mistake_is_refused_with_what_the_user_needs(
    line, words, has, code, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for thing in has:
        THINGS[thing]()
    capsys.readouterr()
    name, options = split_line(line.split())
    with pytest.raises((UserError, SystemExit)) as refused:
        run_command(name, *options)
    error = refused.value
    is_refused = isinstance(error, UserError)
    text = str(error) if is_refused else capsys.readouterr().err
    assert (error.exit_code if is_refused else error.code) == code, text
    assert [word for word in words if word not in text] == [], text
    assert not re.search(r"Traceback|\[Errno|Error\(|<class|<function| object at 0x", text)


LOGS = {
    f"{ROW}center,left,right,steering,speed,throttle,brake\n{ROW}": ("line 2", "'speed'", "7"),
    f"center,left,right,steering,throttle,brake,Speed (km/h)\n{ROW}": ("line 1", "km/h", "mph"),
    "image_path,steering_angle\na.jpg,0.1\n": ("line 2", "left camera", "bcclone import"),
    "c.jpg,l.jpg,r.jpg,0.1\n": ("line 1", "4 columns", "--steering-column COLUMN"),
    "PK\3\4": ("archive", "unpack"),
    '{"records": []}': ("bcclone import FOLDER -o",),
    "\0\0\0 ftypisom": ("video", "bcclone import driving_log.csv"),
    "1,2\n3,4\n": ("line 1", "center camera", "1,2"),
    ROW.replace(",30", ",fast"): ("line 1", "speed", "fast"),
}


@pytest.mark.parametrize("text", LOGS, ids=lambda text: repr(text)[:40])
def test_a_wrong_log_is_refused_with_line_expectation_and_remedy(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put("driving_log.csv", text)
    with pytest.raises(UserError) as refused:
        run_command("preprocess", "driving_log.csv")
    assert refused.value.exit_code == 2
    for word in ("driving_log.csv", *LOGS[text]):
        assert word in str(refused.value)


def test_a_store_larger_than_the_memory_is_refused_with_another_feed(tmp_path):
    path = tmp_path / "data.h5"
    write_store(path, some_frames(3))
    with h5py.File(path, "r+") as file:  # room for frames that take no room on the disk
        del file["frames"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((10**10, 8, 16, 3))
        h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT8, space, plan)
    with pytest.raises(UserError, match=r"data.h5.*3840.0 GB.*--feed hdf5-chunks"):
        check_feed(open_store(path), FeedSettings("memory"))
    path.unlink()


def test_a_missing_ffmpeg_is_named_and_no_clip_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(Path("run"), 3)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nonexistent")
    said = run_process("video.py", "run", code=1).stderr
    assert "/nonexistent" in said
    assert "bcclone doctor" in said
    assert not Path("run.mp4").exists()
