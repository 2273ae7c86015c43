"""The benchmark of clips: its run is complete, and every kind of clip is measured."""

import tempfile

from bcclone.bench.video import measure_clips, record_run
from bcclone.recording import read_log
from bcclone.recording.run_tables import read_answers, read_trace
from tests.conftest import run_script


def test_the_run_has_its_length_and_all_data_of_an_overlay(tmp_path):
    run = record_run(tmp_path / "run", 2.0)
    names = sorted(path.name for path in run.glob("*.jpg"))
    assert len(names) == 50
    assert len(read_log(run / "driving_log.csv").rows) == 50
    assert list(read_trace(run)) == list(read_answers(run)) == names


def test_every_kind_of_clip_is_measured_and_nothing_is_left(untrained_model, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    measures = {measure.name: measure for measure in measure_clips(untrained_model, 1.0, rounds=1)}
    assert [name for name, measure in measures.items() if measure.bar == 1.0] == list(measures)[:3]
    assert set(measures) - set(list(measures)[:3]) == {"MP4, two runs side by side, overlay", "GIF", "GIF, overlay"}
    assert all(measure.value > 0 for measure in measures.values())
    assert list(tmp_path.glob("bcclone-*")) == []


def test_invalid_settings_are_refused():
    assert "seconds 0, expected 1 to 600" in run_script("bench", "video", "--seconds", 0, code=1).stderr
    assert "rounds 0, expected 1 or more" in run_script("bench", "video", "--rounds", 0, code=1).stderr
