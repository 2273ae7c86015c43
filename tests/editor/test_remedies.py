"""The button of a finding does what the command printed beside it does."""

import re
import shlex
import shutil
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.recording.log import read_log
from bcclone.recording.row import image_stamp
from benchmarks.planted_faults import FAULTS, Frames
from tests.editor.recording_page import looking_at, rows_left
from tests.messages.refusals import run_command
from tests.processes import full_disk

EPOCH = datetime(1970, 1, 1)


def written(drive, folder):
    """Write a recording that is in memory, with the frames of the centre camera."""
    (folder / "IMG").mkdir(parents=True)
    lines = []
    for row, frame in zip(drive.rows.itertuples(), drive.frames.of["center"], strict=True):
        image = f"center_{image_stamp(EPOCH + timedelta(milliseconds=row.time_ms))}.jpg"
        (folder / "IMG" / image).write_bytes(encode_jpeg(frame))
        lines.append(f"{image},,,{row.steering!r},{row.throttle},{row.brake},{row.speed_mph}")
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return folder


def commands_in(remedy):
    """Return the arguments of the commands in a remedy."""
    return [shlex.split(line)[1:] for line in re.findall(r"bcclone edit [^;]+", remedy)]


@pytest.mark.parametrize(
    ("fault", "strength", "name"),
    [
        ("mirrored steering, share", 1.0, "mirrored"),
        ("mirrored part", 0.4, "partly-mirrored"),
        ("clock forward, seconds", 10, "clock-jump"),
        ("turned back, share", 0.2, "backwards"),
        pytest.param("late, seconds", 0.7, "late", marks=pytest.mark.slow),
        pytest.param("other log, share", 0.4, "partly-unrelated", marks=pytest.mark.slow),
        pytest.param("foreign frames, share", 0.1, "foreign-pictures", marks=pytest.mark.slow),
        pytest.param("black, share", 0.1, "dark", marks=pytest.mark.slow),
        ("unreadable", 0.1, "unreadable"),
    ],
)
def test_the_button_of_a_finding_does_what_its_command_does(
    fault, strength, name, loaded_recording, tmp_path
):
    center = Frames({"center": loaded_recording.frames.of["center"]})
    alone = replace(loaded_recording, frames=center)
    if fault == "unreadable":
        by_page = written(alone, tmp_path / "by-page")
        for image in sorted((by_page / "IMG").iterdir())[:20]:
            image.unlink()
    elif fault == "mirrored part":
        steering = alone.column("steering")
        steering[100:250] *= -1
        by_page = written(alone.with_rows(steering=steering), tmp_path / "by-page")
    else:
        by_page = written(FAULTS[fault].inject(alone, strength), tmp_path / "by-page")
    by_command = shutil.copytree(by_page, tmp_path / "by-command")
    with looking_at(by_page) as page:
        findings = {finding["fault"]: finding for finding in page.checked()["findings"]}
        assert findings[name]["button"]
        _, status = page.edit(remedy=name)
        assert status == 200
    commands = commands_in(findings[name]["remedy"])
    assert commands
    for _, folder, *options in commands:
        assert folder == str(by_page)
        run_command("edit", by_command, *options)
    assert rows_left(by_command).equals(rows_left(by_page))
    assert not rows_left(by_page).equals(read_log(by_page / "driving_log.csv", edited=False).rows)


@pytest.mark.slow
def test_if_a_remedy_of_two_edits_cannot_be_written_neither_is_made(loaded_recording, tmp_path):
    # the steering of the end belongs to the beginning, so it cannot be shifted back: delete it
    rolled = FAULTS["rolled, seconds"].inject(loaded_recording, 3)
    folder = written(rolled, tmp_path / "rolled")
    edits_file = folder / "driving_log.edits.json"
    with looking_at(folder) as page:
        findings = {finding["fault"]: finding for finding in page.checked()["findings"]}
        first_command, second_command = commands_in(findings["late"]["remedy"])
        assert second_command[2] == "--delete"
        run_command(*first_command)
        size_of_first = edits_file.stat().st_size
        page.edit(undo=True)
        page.checked()

        with full_disk(size_of_first):
            answer, status = page.edit(remedy="late")
        assert status == 400
        assert str(edits_file) in answer["error"]
        state = page.state()
        assert (state["edits"], state["deleted"]) == (0, [])
        assert not state["steering"]

        page.checked()
        state, status = page.edit(remedy="late")
        assert status == 200
        assert state["edits"] == 2
