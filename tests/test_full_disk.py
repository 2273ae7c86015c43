"""Each command that writes ends on a full disk with an error that names a file and what to do, and
leaves no part.

A limit of the size of a file stands for the full disk: `ulimit -f`, whose signal Python ignores.
Each command is tried at two limits, the smaller in the first kB and the larger near the end of its
largest file.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import content_of, on_a_full_disk, said
from tests.running import command

_LEAST = 1 << 13  # bytes; what processes share is a file, too


@dataclass(frozen=True)
class Writing:
    """A command line; {here}: the folder of its outputs, {recording}, {store}, {model} and others:
    its inputs.

    before: another one, with the same inputs, that is run first, on a disk with room; output:
    pattern of the files that the command cannot do without; a training goes on without checkpoints.
    """

    line: str
    before: str = ""
    output: str = "*"


COMMANDS = {
    "preprocess": Writing("preprocess.py {recording} -o {here}/data.h5 --size 16x16"),
    "video over an old one": Writing(
        "video.py {recording} -o {here}/clip.mp4", "video.py {recording} -o {here}/clip.mp4 --fps 5"
    ),
    "video, GIF": Writing(
        "video.py {recording} -o {here}/clip.gif", "video.py {recording} -o {here}/clip.gif --fps 5"
    ),
    "edit": Writing("edit {here}/recording --delete 3 5", "copy {recording} {here}/recording"),
    "simulate record": Writing("simulate record {here}/recording --laps 0.01"),
    "import": Writing("import {csv} -o {here}/imported"),
    "preprocess, shards": Writing("preprocess.py {recording} -o {here}/data --size 16x16"),
    "preprocess, another recording": Writing(
        "preprocess.py {copy} -o {here}/data.h5 --add --size 16x16",
        "preprocess.py {recording} -o {here}/data.h5 --size 16x16",
    ),
    "export csv": Writing("export {recording} --to csv -o {here}/exported"),
    "export tub": Writing("export {recording} --to tub -o {here}/exported"),
    "model": Writing(
        "model.py {store} -o {here}/model.h5 --runs {here}/runs --epochs 1 --batch-size 64",
        output="model.h5",
    ),
    "model over an old one": Writing(
        "model.py {store} -o {here}/model.h5 --runs {here}/runs --epochs 1 --batch-size 64 --force "
        "--no-plots",
        "copy {model} {here}/model.h5",
        output="model.h5",
    ),
    "plots": Writing("plots {model} {store} -o {here}/plots"),
    "evaluate": Writing("evaluate {model} --laps 0.01 -o {here}/scores"),
    "replay": Writing("replay {model} {recording} -o {here}/scores"),
    "predict": Writing("predict {model} {recording} -o {here}/predictions.csv"),
    "export onnx": Writing("export {model} --to onnx -o {here}/model.onnx"),
    "improve": Writing(
        "improve {model} --expert --rounds 1 --epochs 1 "
        "--jobs 1 "
        "--rows start-turned --laps 0.03 -o {here}/better.h5"
    ),
}


@pytest.fixture
def inputs(simulated_recording, simulated_store, untrained_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(simulated_recording, folder / "copy")
    said(*command("export", simulated_recording, "--to", "csv", "-o", folder / "csv"), check=True)
    return {
        "recording": simulated_recording,
        "store": simulated_store,
        "model": untrained_model,
        "copy": folder / "copy",
        "csv": folder / "csv",
    }


def words_of(line, inputs, here):
    return [word.format(**inputs, here=here) for word in line.split()]


def prepared(writing, inputs, here):
    """Make the folder of the outputs, with what the command finds there."""
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    before = words_of(writing.before, inputs, here)
    if before[:1] == ["copy"]:
        copy = shutil.copytree if Path(before[1]).is_dir() else shutil.copy
        copy(*before[1:])
    elif before:
        said(*command(*before), check=True)


def largest_file(writing, inputs, here):
    """Return the size of the largest file that the command writes, but for what differs from one
    run to the next.
    """
    prepared(writing, inputs, here)
    before = content_of(here)
    done = said(*command(*words_of(writing.line, inputs, here)))
    assert done.returncode == 0, done.stderr
    return max(
        15 * len(content) // 16
        for path, content in content_of(here).items()
        if before.get(path) != content and path.match(writing.output)
    )


def check_refusal(writing, inputs, here, limit):
    """Run the command where no file may be larger; it must fail, and leave what was there."""
    prepared(writing, inputs, here)
    before = content_of(here)
    line = on_a_full_disk(command(*words_of(writing.line, inputs, here)), limit)
    done = said(*line)
    assert done.returncode == 1, f"{limit}: {done.returncode} {done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert re.match("error: /[^:]+: ", errors[0]), errors[0]  # an output, or a temporary file
    assert any(
        word in errors[0] for word in ("another", "make room", "free some", "again", "a copy")
    ), errors[0]
    after = content_of(here)
    assert {path: after.get(path) for path in before} == before, "what was there has changed"
    left = [path for path in here.rglob("*") if "partial" in path.name or ".tmp" in path.name]
    assert not left, left
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_a_full_disk_names_the_file_and_leaves_no_part(name, inputs, tmp_path):
    writing = COMMANDS[name]
    largest = largest_file(writing, inputs, tmp_path / "here")
    for limit in {min(_LEAST, largest // 2), largest}:
        check_refusal(writing, inputs, tmp_path / "here", limit)
