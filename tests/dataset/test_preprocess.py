"""The command preprocess: its results, its errors, and the files it leaves when it is killed."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bcclone.camera.images import read_frame
from bcclone.dataset.conversion import convert
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import PreprocessSettings, SampleSettings
from bcclone.dataset.shards import open_store
from bcclone.recording.run_tables import DRIVERS, HUMAN, MODEL, DrivenBy
from bcclone.system.errors import UserError
from tests.processes import python, started
from tests.recordings import images_of, many_rows, rewrite, spoil
from tests.running import command, result_of, run_script


@pytest.mark.skipif(os.name == "nt", reason="names of folders are bytes on Linux alone")
def test_the_name_of_a_folder_may_be_bytes_that_are_no_utf_8(simulated_recording, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(simulated_recording, folder)
    settings = PreprocessSettings((str(folder),), folder / "data.h5", cameras=("center",))
    converted = convert(settings)
    assert converted.frames > 0
    with open_store(folder / "data.h5") as store:
        assert store.recordings[0].path.parent == folder.resolve()


def test_a_conversion_is_a_library_call(simulated_recording, tmp_path):
    lines = []
    settings = PreprocessSettings(
        (str(simulated_recording),), tmp_path / "data.h5", cameras=("center",), block_seconds=1
    )
    made = convert(settings, lines.append)
    assert (made.rows, made.frames, made.train + made.validation) == (120, 120, 240)
    assert [line.startswith("read ") and line.endswith("120 rows") for line in lines] == [True]
    with open_store(made.output) as store:
        assert (store.preprocessing, store.sample_settings) == (
            Preprocessing(),
            SampleSettings(cameras=("center",), block_seconds=1),
        )
    again = convert(PreprocessSettings(settings.inputs, settings.output, add=True))
    assert "holds all of this already" in again.notices[-1]
    with pytest.raises(UserError, match="cameras: .*center.*, but .*left.* is given"):
        convert(replace(settings, cameras=("left",), add=True))
    assert convert(replace(settings, add=True)).rows == 120
    # a default changes nothing in an existing store, unless it is meant
    usual = PreprocessSettings(settings.inputs, settings.output, add=True, block_seconds=10.0)
    assert convert(usual).rows == 120
    with pytest.raises(UserError, match="block seconds: 1.*, but 10.0 is given"):
        convert(replace(usual, explicit=("block_seconds",)))


def test_without_a_named_recording_those_in_the_folder_are_read(recording, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recordings").mkdir()
    recording.rename(tmp_path / "recordings" / "lake")
    log = tmp_path / "recordings" / "lake" / "driving_log.csv"
    lines = log.read_text().splitlines(keepends=True)
    log.unlink()
    for name, part in (("run1.csv", lines[:70]), ("run2.csv", [*lines[70:], "garbage\n"])):
        log.with_name(name).write_text("".join(part))
    done = run_script("preprocess.py", "--json")
    made = json.loads(done.stdout)
    folder = Path("recordings", "lake")
    of_both = {"deleted_rows": 0, "part": ""}
    read = [
        {"path": str(folder / "run1.csv"), "rows": 70, "bad_rows": 0, **of_both},
        {"path": str(folder / "run2.csv"), "rows": 50, "bad_rows": 1, **of_both},
    ]
    assert (made["logs"], made["recordings"], made["rows"], made["frames"]) == (read, 2, 120, 360)
    assert f"taking {folder}" in done.stderr
    assert "run1.csv: 70 rows" in done.stderr
    assert len(result_of("preprocess.py", "--check")["recordings"]) == 2
    assert result_of("preprocess.py", "--add")["logs"] == read


def test_adding_keeps_the_content_of_the_store(recording, tmp_path):
    lines = (recording / "driving_log.csv").read_text().splitlines(keepends=True)
    (recording / "first.csv").write_text("".join(lines[:70]))
    (recording / "driving_log.csv").unlink()
    store = tmp_path / "data.h5"
    options = ["--block-seconds", 1, "--frame-offsets", 2, "--size", 64]
    result_of("preprocess.py", recording / "first.csv", "-o", store, *options)
    with open_store(store) as opened:
        before = (opened.frames[:], opened.samples.copy(), opened.rows.copy())
    (recording / "second.csv").write_text("".join(lines[70:]))
    made = result_of("preprocess.py", recording / "second.csv", "-o", store, "--add")
    assert (made["recordings"], made["rows"], made["frames"], made["episodes"]) == (2, 120, 360, 2)
    with open_store(store) as opened:
        assert (opened.frames[:210] == before[0]).all()
        assert (opened.samples[: len(before[1])] == before[1]).all()
        assert opened.rows["center"][:70].tolist() == before[2]["center"].tolist()
        added = opened.samples[len(before[1]) :]
        assert added["row"].min() == 70
        assert added["frame"].min() == 210
        assert set(added["frame_offset"]) == {0, 1, 2}
    content = store.read_bytes()
    again = run_script("preprocess.py", recording / "second.csv", "-o", store, "--add", "--json")
    assert "holds all of this already" in again.stderr
    assert json.loads(again.stdout) == made | {"seconds": json.loads(again.stdout)["seconds"]}
    assert store.read_bytes() == content
    other = run_script(
        "preprocess.py", recording / "second.csv", "-o", store, "--add", "--size", 32, code=1
    )
    assert "made with other options" in other.stderr
    assert (
        result_of("preprocess.py", recording / "second.csv", "-o", store, "--force", "--size", 32)[
            "rows"
        ]
        == 50
    )


@pytest.mark.parametrize("steering", ["0", "0.25"])
def test_a_recording_whose_steering_was_lost_is_told(
    recording, simulated_recording, tmp_path, steering
):
    rewrite(recording, lambda rows: [[*row[:3], steering, *row[4:]] for row in rows])
    done = run_script(
        "preprocess.py", simulated_recording, recording, "-o", tmp_path / "data.h5", "--size", 16
    )
    (line,) = (line for line in done.stderr.splitlines() if "nothing can be learned" in line)
    assert f"{recording}/driving_log.csv: the steering is {steering} in every row" in line
    assert "name its column to the import" in line


def test_rows_that_several_logs_repeat_are_used_once(recording, tmp_path):
    log = recording / "driving_log.csv"
    lines = log.read_text().splitlines(keepends=True)
    for name, part in (("a", lines[:60]), ("b", lines[60:]), ("c", lines[40:80][::-1])):
        (recording / f"{name}.csv").write_text("".join(part))
    store = tmp_path / "data.h5"
    done = run_script(
        "preprocess.py", f"{recording}/?.csv", "-o", store, "--json", "--cameras", "left,right"
    )
    made = json.loads(done.stdout)
    assert (made["recordings"], made["rows"], made["frames"]) == (2, 120, 240)
    assert "40 repeated rows left out" in done.stderr
    again = run_script(
        "preprocess.py", recording / "driving_log.csv", "-o", store, "--json", "--add"
    )
    assert json.loads(again.stdout)["rows"] == 120
    assert "120 repeated rows left out" in again.stderr


def test_unusable_images_are_skipped_counted_and_listed(recording, tmp_path):
    names = spoil(recording)
    store = tmp_path / "data.h5"
    done = run_script(
        "preprocess.py", recording, "-o", store, "--frame-offsets", 0, "--no-flip", "--json"
    )
    made = json.loads(done.stdout)
    assert made["skipped"] == 4
    assert made["frames"] == 356
    assert sum(made["samples"].values()) == 356
    for row, name, reason in zip(
        (11, 21, 31, 41), names, ("missing", "complete JPEG", "160x80", "empty"), strict=True
    ):
        line = next(line for line in done.stderr.splitlines() if name in line)
        assert f"line {row}:" in line
        assert "driving_log.csv" in line
        assert reason in line
    with open_store(store) as opened:  # and every other row still has its own frame
        for row in (9, 11, 29, 31, 119):
            frame = opened.frames[opened.rows["frame_center"][row]]
            name = opened.rows["center"][row].decode()
            assert (
                frame == opened.preprocessing.apply(read_frame(str(recording / "IMG" / name)))
            ).all()


def test_more_than_5_percent_skipped_is_an_error_unless_allowed(recording, tmp_path):
    for image in images_of(recording, "left")[:19]:
        image.unlink()
    store = tmp_path / "data.h5"
    refused = run_script("preprocess.py", recording, "-o", store, code=1)
    assert "--allow-skips" in refused.stderr
    assert not store.exists()
    assert result_of("preprocess.py", recording, "-o", store, "--allow-skips")["skipped"] == 19


def test_the_error_for_cameras_without_images_names_the_option(recording, tmp_path):
    rewrite(recording, lambda rows: [[row[0], "", "", *row[3:]] for row in rows])
    line = ("preprocess.py", recording, "-o", tmp_path / "data.h5")
    assert "--cameras" in run_script(*line, "--cameras", "left", code=1).stderr
    assert result_of(*line)["frames"] == 120


@pytest.mark.parametrize(
    ("options", "share"),
    [((), 0.0), (("--block-seconds", 5), 0.4), (("--block-seconds", 1), None)],
)
def test_a_share_of_validation_that_the_blocks_cannot_give_is_noticed(
    recording, tmp_path, options, share
):
    def spaced(rows):  # 120 rows in 8.4 s, from the begin of a minute
        for number, row in enumerate(rows):
            time = f"2026_11_22_12_00_{number * 70 // 1000:02d}_{number * 70 % 1000:03d}.jpg"
            for column, camera in enumerate(("center", "left", "right")):
                new = f"{camera}_{time}"
                (recording / "IMG" / Path(row[column]).name).rename(recording / "IMG" / new)
                row[column] = new
        return rows

    rewrite(recording, spaced)
    done = run_script(
        "preprocess.py", recording, "-o", tmp_path / "data.h5", "--size", 16, *options
    )
    with open_store(tmp_path / "data.h5") as store:
        held_back = store.samples["validation"]
    told = [line for line in done.stderr.splitlines() if "are for validation" in line]
    if share is None:
        assert told == []
        assert held_back.mean() == pytest.approx(0.2, abs=0.05)
        return
    assert held_back.mean() == pytest.approx(share, abs=0.03)
    (line,) = told
    for words in (f"{held_back.sum()} of 720", f"{held_back.mean():.0%}", "20%", "--block-seconds"):
        assert words in line


def test_samples_that_a_split_of_single_rows_leaves_out_are_noticed(recording, tmp_path):
    line = ("preprocess.py", recording, "--size", 16, "--frame-offsets", 4)
    by_rows = run_script(*line, "-o", tmp_path / "rows.h5", "--split", "random", "--json")
    kept = sum(json.loads(by_rows.stdout)["samples"].values())
    every = (120 * 5 - 10) * 6  # the first four rows have fewer frames before them
    (told,) = (line for line in by_rows.stderr.splitlines() if "samples are left out" in line)
    assert f"{every - kept} of {every} samples" in told
    assert "--split blocks" in told
    # fewer samples of the other rows are left, so the share is not that of the rows
    (share,) = (line for line in by_rows.stderr.splitlines() if "are for validation" in line)
    assert "where 20% were asked for" in share
    # samples of take-overs that are repeated count once
    by = [DrivenBy(HUMAN, 1) if 10 <= row < 30 else DrivenBy(MODEL) for row in range(120)]
    lines = [
        each.row(image.name) + "\n" for each, image in zip(by, images_of(recording), strict=True)
    ]
    (recording / DRIVERS.name).write_text(DRIVERS.header + "".join(lines))
    weighed = (*line, "-o", tmp_path / "weighed.h5", "--split", "random", "--correction-weight", 9)
    assert f"note: {told.partition('note: ')[2]}" in run_script(*weighed).stderr
    by_blocks = run_script(*line, "-o", tmp_path / "blocks.h5", "--block-seconds", 4)
    assert "samples are left out" not in by_blocks.stderr


def test_ctrl_c_ends_at_once_and_leaves_no_file(recording, tmp_path):
    long = many_rows(recording, tmp_path / "long", 5000)  # long enough on a busy machine
    line = command("preprocess.py", long, "-o", tmp_path / "data.h5")
    with started(line, lambda: list(tmp_path.glob(".data.*.partial.h5"))) as run:
        run.send_signal(signal.SIGINT)
        _, error = run.communicate(timeout=20)
    assert run.returncode == 130
    assert "Traceback" not in error
    assert not list(tmp_path.glob("*data*"))


@pytest.mark.long
@pytest.mark.parametrize(("rows", "most_mb"), [(100, 200), (100_000, 400), (200_000, 600)])
def test_the_memory_of_a_conversion_grows_with_the_tables_only(recording, tmp_path, rows, most_mb):
    long = many_rows(recording, tmp_path / "long", rows)
    line = command("preprocess.py", long, "-o", tmp_path / "data.h5", "--size", 16, "--json")
    # by a small process, because a child's peak includes that of the process that forks it
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    result, kilobytes = map(json.loads, python(script, *line).splitlines())
    peak_mb = kilobytes * 1024 / 1e6
    assert result["frames"] == 3 * rows
    assert sum(result["samples"].values()) > 5 * rows
    print(f"peak resident memory for {rows} rows: {peak_mb:.0f} MB")
    assert peak_mb < most_mb
