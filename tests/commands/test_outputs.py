"""No command replaces what is not its own earlier output, with --force or without; two at once lose
no work.
"""

import os
import re
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import MISSING
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from bcclone.commands import COMMANDS, load_command
from bcclone.dataset.shards import open_store
from bcclone.recording.edits import read_edits
from bcclone.system.errors import UserError
from tests.messages.refusals import run_command
from tests.messages.small_recording import make_recording, without_privileges
from tests.processes import content_of, wait_for
from tests.recordings import many_rows
from tests.running import command, result_of, run_script

# command -> its words, and the ending that the name of its output needs
FILES = {
    "preprocess": ("{recording}", ".h5"),
    "model": ("{store}", ".h5"),
    "video": ("{recording}", ".mp4"),
    "calibrate": ("{model} {recording}", ".h5"),
    "export": ("{model} --to onnx", ".onnx"),
    "import-model": ("{model} --preprocess gray-80x120", ".h5"),
    "improve": ("{model} --expert", ".h5"),
    "predict": ("{model} {recording}", ".csv"),
}
FOLDERS = {"import", "plots", "demo", "trained-models"}  # new ones, and those that are completed
RESULTS = {"evaluate", "suite", "replay", "margin"}
RECORDED = {"drive", "play", "simulate record"}  # tests/recording/test_run_folder.py has these


def film(path):
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(5000))


def foreign_hdf5(path):
    with h5py.File(path, "w") as file:
        file["speeds"] = np.arange(3.0)


PRECIOUS = {
    "log": lambda path: path.write_text("a.jpg,b.jpg,c.jpg,0,0,0,0\n"),
    "photo": lambda path: Image.new("RGB", (32, 32)).save(path, "png"),
    "film": film,
    "HDF5": foreign_hdf5,
}


@pytest.fixture
def words(request):
    """Return the function that puts the paths of inputs into the words of a command."""

    def put(text):
        names = {
            "recording": "simulated_recording",
            "store": "simulated_store",
            "model": "untrained_model",
        }
        used = {
            name: request.getfixturevalue(fixture)
            for name, fixture in names.items()
            if f"{{{name}}}" in text
        }
        return text.format(**used).split()

    return put


OUTPUTS = {
    (name, each.flag): each
    for name in COMMANDS
    for each in load_command(name).declared()
    if each.writes
}
# words of --help that tell of an output
_TELLS = re.compile(r"\b(write|(record|draw|copy) .*into|results|holds)\b")


def test_every_path_whose_help_tells_that_it_is_written_is_declared_an_output():
    told = {
        (name, each.flag)
        for name in COMMANDS
        for each in load_command(name).declared()
        if "Path" in str(each.kind) and _TELLS.search(each.help)
    }
    assert told == OUTPUTS.keys()
    assert {name for name, _ in OUTPUTS} == FILES.keys() | FOLDERS | RESULTS | RECORDED


def read_only(path):
    path.write_bytes(b"mine")
    path.chmod(0o444)


# why nothing can be written at a path -> what makes it so
PLACES = {
    "below a file": lambda path: path.parent.write_text("mine"),
    "in a read-only folder": lambda path: path.parent.mkdir(mode=0o555),
    "below a read-only folder": lambda path: path.parents[1].chmod(0o555),
    "a read-only file": lambda path: (path.parent.mkdir(), read_only(path)),
    "a read-only folder": lambda path: path.mkdir(mode=0o555, parents=True),
    "a link in a circle": lambda path: (path.parent.mkdir(), path.symlink_to(path)),
    "a link to a read-only file": lambda path: (
        path.parent.mkdir(),
        read_only(path.with_name("mine")),
        path.symlink_to("mine"),
    ),
}


@pytest.fixture
def folder_of_all():
    """A folder in which every user may write, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o777)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(output, place, folder_of_all):
    """Even before the inputs are looked at, which are missing here."""
    name, flag = output
    # a folder of a recording is not called like a model
    path = folder_of_all / "above" / "here" / ("out" if name in RECORDED else "out.h5")
    line = []
    for each in load_command(name).declared():
        if each is OUTPUTS[output]:
            line += [path] if each.positional else [flag, path]
        elif each.positional:
            line.append("missing")
        elif each.field.default is MISSING:
            line += [each.flag, each.choices[0]]
    with without_privileges():
        path.parents[1].mkdir()
        PLACES[place](path)
        before = content_of(folder_of_all)
        with pytest.raises(UserError, match=f"{path.name}.*choose") as refused:
            run_command(name, *line)
        assert content_of(folder_of_all) == before
    assert "missing" not in str(refused.value)


@pytest.mark.parametrize("kind", PRECIOUS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_command_does_not_write_is_kept_even_with_force(
    name, kind, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    text, ending = FILES[name]
    PRECIOUS[kind](mine := tmp_path / f"mine{ending}")
    before = mine.read_bytes()
    with pytest.raises(UserError, match=f"mine{ending} exists, and is no "):
        run_command(name, *words(text), "-o", mine, "--force")
    assert mine.read_bytes() == before
    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model", "{store} --from IN"),
        ("calibrate", "IN {recording}"),
        ("import-model", "IN --preprocess gray-80x120"),
        ("improve", "IN --expert"),
        ("predict", "IN {recording}"),
    ],
)
def test_an_input_is_kept_even_with_force_and_by_another_name(
    name, text, words, untrained_model, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.h5").write_bytes(untrained_model.read_bytes())
    (tmp_path / "other.h5").hardlink_to(tmp_path / "mine.h5")
    (tmp_path / "link.h5").symlink_to("mine.h5")
    for source in ("mine.h5", "link.h5"):
        for output in ("mine.h5", "other.h5", "link.h5"):
            with pytest.raises(UserError, match=f"{output} is an input of this command"):
                run_command(name, *words(text.replace("IN", source)), "-o", output, "--force")
    assert (tmp_path / "mine.h5").read_bytes() == untrained_model.read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_clip_that_nobody_named_follows_no_link_and_replaces_only_clips_of_bcclone(
    recording, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    clip = recording.with_suffix(".mp4")
    mine = tmp_path / "mine.mp4"
    film(mine)
    clip.symlink_to(mine)
    with pytest.raises(UserError, match="recording.mp4 is a link.*name the clip: --output"):
        run_command("video", recording)
    clip.unlink()
    film(clip)
    with pytest.raises(UserError, match="recording.mp4 exists, and is no clip of bcclone"):
        run_command("video", recording)
    clip.unlink()
    run_command("video", recording, "--fps", 30)
    with pytest.raises(UserError, match="recording.mp4 exists already.*--force"):
        run_command("video", recording)  # it may have an overlay that took minutes
    run_command("video", recording, "--fps", 20, "--force")
    own = tmp_path / "own.mp4"
    own.write_bytes(clip.read_bytes())
    before = own.read_bytes()
    with pytest.raises(UserError, match="own.mp4 exists already.*--force"):
        run_command("video", recording, "-o", own)
    assert own.read_bytes() == before
    run_command("video", recording, "-o", own, "--force", "--fps", 10)
    assert own.read_bytes() != before
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run_command("video", recording)
    with pytest.raises(UserError, match="recording.mp4 exists already.*--force"):
        run_command("video", recording)  # it may be of another recording of this name
    monkeypatch.chdir(tmp_path)
    clip.unlink()
    clip.symlink_to(tmp_path / "missing.mp4")
    with pytest.raises(UserError, match="recording.mp4 is a link"):
        run_command("video", recording)


def test_results_are_replaced_only_with_force_and_other_folders_never(untrained_model, tmp_path):
    recording = make_recording(tmp_path / "recording", rows=3)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine")
    line = ("replay", untrained_model, recording, "-o")
    with pytest.raises(UserError, match="mine.*another name"):
        run_command(*line, tmp_path / "mine", "--force")
    run_command(*line, report := tmp_path / "new" / "out")
    before = (report / "report.html").stat().st_ino
    with pytest.raises(UserError, match="out.*--force.*-o"):
        run_command(*line, report)
    assert (report / "report.html").stat().st_ino == before
    run_command(*line, report, "--force")
    assert (report / "report.html").stat().st_ino != before
    with pytest.raises(UserError):
        run_command("replay", untrained_model, tmp_path / "no", "-o", tmp_path / "other" / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"recording", "mine", "new"}


# ---- at once


def start(*line):
    return subprocess.Popen(
        [str(word) for word in command(*line)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def halted_while_it_writes(*line, output):
    """Start a command, and stop it for the block once it has its output locked; then let it end
    well.
    """
    lock = output.with_name(f".{output.name}.bcclone-lock")
    process = start(*line)

    def is_held():
        # the file is there before the lock is had, and before it says who has it
        return lock.exists() and b"process" in lock.read_bytes()

    wait_for(lambda: is_held() or process.poll() is not None, every_seconds=0.005)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert is_held(), process.communicate()
        yield process.pid
    finally:
        os.kill(process.pid, signal.SIGCONT)
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert not lock.exists()


@pytest.mark.slow
def test_edits_at_once_are_all_recorded(recording):
    edits = [start("edit", recording, "--delete", row, row) for row in range(1, 17, 2)]
    assert [(one.communicate()[1], one.returncode)[1] for one in edits] == [0] * 8
    assert len(read_edits(recording / "driving_log.csv").edits) == 8
    assert result_of("edit", recording)["deleted"] == 8
    assert not list(recording.glob(".*"))


@pytest.mark.slow
def test_a_second_command_that_writes_the_same_output_is_told_who_writes(
    recording, simulated_recording, tmp_path
):
    output = tmp_path / "data.h5"
    line = ("preprocess.py", recording, "-o", tmp_path / "data.h5")
    for force in ([], ["--force"]):
        with halted_while_it_writes(*line, *force, output=output) as pid:
            refused = run_script(
                "preprocess.py", simulated_recording, "-o", output, *force, code=1
            ).stderr
            assert f"data.h5: process {pid} (preprocess.py {recording} -o" in refused
            assert "another name" in refused
    with open_store(output) as store:
        assert store.recordings[0].path == recording / "driving_log.csv"


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [[], ["--shard-mb", 1]])
def test_additions_at_once_lose_none(sharded, simulated_recording, tmp_path):
    first, second = (
        many_rows(simulated_recording, tmp_path / name, rows)
        for name, rows in (("a", 130), ("b", 140))
    )
    output = tmp_path / "data"
    options = ("-o", output, "--frame-offsets", 0)
    before = result_of("preprocess.py", simulated_recording, *options, *sharded)["rows"]
    with halted_while_it_writes("preprocess.py", first, *options, "--add", output=output):
        assert (
            "is writing it" in run_script("preprocess.py", second, *options, "--add", code=1).stderr
        )
    assert result_of("preprocess.py", second, *options, "--add")["rows"] == before + 130 + 140
