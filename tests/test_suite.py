"""The suite: what its rows are, that its figures are the same however many processes drive, and what it shows."""

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest

from bcclone.bench.simulator import Blind
from bcclone.errors import UserError
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.score import DrivenPoint, Intervention
from bcclone.simulator.world import WorldSettings
from bcclone.suite import ROWS, SuiteResult, SuiteSettings, chosen_rows
from bcclone.suite.report import looks_of, table_lines, write_suite
from bcclone.suite.run import Crew, name_models, name_recordings
from bcclone.suite.scenarios import Drive, best_of
from bcclone.suite.worker import Task, drive_row
from tests.conftest import ROOT, command, refusal, run_script
from tests.model_import.old_models import keras1_config, write
from tests.processes import children_of, wait_for

pytestmark = pytest.mark.timeout(600)  # each process loads TensorFlow, on cores that other tests use, too

FIGURES = {
    "autonomy_percent": 100.0, "interventions": 0, "first_off_road_m": None, "distance_m": 1140.0,
    "mean_abs_cross_track_m": 0.3, "max_abs_cross_track_m": 1.0, "mean_speed_mph": 19.0, "steering_smoothness": 0.2,
    "seconds": 130.0, "laps": 1.0, "ended": "laps driven",
}  # fmt: skip


def row(name):
    (found,) = chosen_rows([name])
    return found


def test_the_rows_are_those_that_were_asked_for():
    assert [row.name for row in ROWS] == [
        "lake-15", "lake-30", "lake-reverse-15", "lake-reverse-30", "lake-20", "latency-100", "latency-200",
        "latency-300", "light-0.5", "light-1.5", "shadows", "fog", "camera-shift", "camera-pitch", "start-off",
        "start-turned", "shove", "no-lines", "mountain", "mountain-reverse",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "world", "conditions"),
    [
        ("latency-200", {"latency_seconds": 0.2}, {}),
        ("light-0.5", {}, {"light": 0.5}),
        ("shadows", {}, {"sun_elevation": 12.0, "sun_azimuth": 0.0}),
        ("fog", {}, {"fog": 5.0}),
        ("camera-shift", {}, {"camera_shift_m": 0.2}),
        ("camera-pitch", {}, {"camera_pitch": 1.0}),
        ("start-off", {"start_offset_m": 1.5}, {}),
        ("start-turned", {"start_turn": 10.0}, {}),
        ("shove", {"shove_m": 1.0, "shove_every_m": 100.0}, {}),
        ("no-lines", {}, {"line_visibility": 0.0}),
    ],
)
def test_a_row_differs_from_the_plain_one_in_one_thing_only(name, world, conditions):
    plain = row("lake-20").settings
    changed = replace(plain, world=WorldSettings(**world), conditions=Conditions(**conditions))
    assert row(name).settings == changed


def test_a_row_says_which_way_it_drives_and_how_fast():
    assert (row("mountain-reverse").settings.track, row("mountain-reverse").settings.reverse) == ("mountain", True)
    assert row("lake-reverse-30").says == "lake in reverse, 30 mph"
    for one in ROWS:
        assert f"{one.settings.speed_mph:g} mph" in one.says


def test_laps_and_seed_go_to_every_row():
    for one in chosen_rows(laps=0.5, texture_seed=3):
        assert (one.settings.world.laps, one.settings.conditions.texture_seed) == (0.5, 3)


@pytest.fixture(scope="module")
def of_two_models(untrained_model, simulated_recording, tmp_path_factory):
    """What the suite says of a model of ours and an older one, driven by one process and by two."""
    folder = tmp_path_factory.mktemp("suite")
    older = write(folder / "older.h5", keras1_config())
    line = ("evaluate", untrained_model, older, "--preprocess", "nvidia-66x200-yuv", "--suite")
    rows = ("--rows", "shove", "lake-30", "--laps", 0.01, "--recordings", simulated_recording)
    ways = (("--jobs", 1, "--output", folder / "out"), ("--jobs", 2))
    return [json.loads(run_script(*line, *rows, *way, "--json").stdout) for way in ways], folder / "out"


@pytest.mark.slow
def test_figures_are_the_same_however_many_processes_drive(of_two_models):
    (alone, together), _ = of_two_models
    assert alone == together
    assert list(alone["models"]) == ["untrained", "older"]
    assert [one["row"] for one in alone["rows"]] == ["lake-30", "shove"]
    for one in alone["rows"]:
        assert set(one["models"]) == {"untrained", "older"}
        for figures in one["models"].values():
            assert set(figures) == set(FIGURES)
            assert figures["laps"] > 0


@pytest.mark.slow
def test_recordings_are_driven_through_as_by_replay(of_two_models, untrained_model, simulated_recording):
    (alone, _), _ = of_two_models
    (one,) = alone["recordings"]
    assert (one["recording"], set(one["models"])) == ("lake", {"untrained", "older"})
    by_replay = json.loads(run_script("replay", untrained_model, simulated_recording, "--json").stdout)
    ours = one["models"]["untrained"]
    assert ours["rows"] == by_replay["rows"] == 120
    # threads may round differently there
    assert ours["rms_cross_track_m"] == pytest.approx(by_replay["rms_cross_track_m"], abs=0.01)


@pytest.mark.slow
def test_a_given_preprocessing_is_for_the_models_that_do_not_say_theirs(of_two_models):
    (alone, _), _ = of_two_models  # untrained.h5 carries carnd-128-rgb, and is not refused
    first, second = (alone["rows"][0]["models"][name] for name in ("untrained", "older"))
    assert first != second


@pytest.mark.slow
def test_the_suite_leaves_pictures_table_and_figures(of_two_models):
    (alone, _), folder = of_two_models
    assert json.loads((folder / "figures.json").read_text()) == alone
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    maps = {"lake-30.png", "shove.png"}
    assert names == {"table.txt", "figures.json", "looks.png", "models.png", *maps}
    for name in ("looks.png", "models.png", "maps/shove.png"):
        with PIL.Image.open(folder / name) as picture:
            assert min(picture.size) > 150
    table = (folder / "table.txt").read_text()
    assert "lake, 30 mph" in table
    assert "a recording, " in table


def test_a_drive_of_a_row_is_told_as_it_goes_on():
    told = []
    done = drive_row(Blind([0.0]), chosen_rows(["lake-20"], laps=0.1)[0], told.append)
    assert len(told) > 3
    assert 90 < sum(told) <= 114
    assert done.figures["laps"] == pytest.approx(0.1, abs=0.01)
    assert len(done.trace) > 50


def drive(**changes):
    return Drive(FIGURES | changes, (DrivenPoint(0, 0, 0), DrivenPoint(0, 1, 0)), (Intervention(0, 1, 1.0),))


def result(**drives):
    rows = chosen_rows(["lake-20"])
    return SuiteResult({name: Path(f"{name}.h5") for name in drives}, rows, {"lake-20": drives})


@pytest.mark.parametrize(
    ("one", "other", "best"),
    [
        ({}, {"autonomy_percent": 95.0, "interventions": 1}, {"one"}),
        ({"mean_abs_cross_track_m": 0.4}, {}, {"other"}),
        ({}, {}, {"one", "other"}),
        (
            {"ended": "the car has stood still for 20 s", "mean_abs_cross_track_m": 0.0},
            {"autonomy_percent": 70.0},
            {"other"},
        ),
    ],
)
def test_the_best_of_a_row_came_around_then_has_more_autonomy_then_is_nearer_to_the_line(one, other, best):
    compared = result(one=drive(**one), other=drive(**other))
    assert best_of(compared.drives["lake-20"]) == best
    (line,) = [line for line in table_lines(compared) if line.startswith("lake-20")]
    assert line.count("*") == len(best)


def test_one_model_alone_is_not_marked_as_the_best():
    lines = table_lines(result(alone=drive(interventions=2, autonomy_percent=91.3)))
    assert not any("*" in line for line in lines)
    assert "  91.3 %    2  0.30   1.00" in next(line for line in lines if line.startswith("lake-20"))
    assert "0 of 1 rows, 2" in "\n".join(lines)


def test_models_of_one_name_are_told_apart_by_their_folders(tmp_path):
    paths = [tmp_path / name for name in ("a.h5", "b.h5", "b.keras", "x/b.h5")]
    paths[3].parent.mkdir()
    for path in paths:
        path.touch()
    assert list(name_models(paths[:2])) == ["a", "b"]
    assert list(name_models(paths[1:3])) == ["b.h5", "b.keras"]
    assert list(name_models([paths[1], paths[3]])) == [str(paths[1]), str(paths[3])]
    with pytest.raises(UserError, match="named twice"):
        name_models([paths[0], tmp_path / "x" / ".." / "a.h5"])


def test_recordings_are_named_by_their_folders():
    logs = [Path("a/driving_log.csv"), Path("b/driving_log.csv"), Path("c/b/driving_log.csv")]
    assert [one.name for one in name_recordings(logs[:2])] == ["a", "b"]
    assert [one.name for one in name_recordings(logs[1:])] == ["b/driving_log.csv", "c/b/driving_log.csv"]


def test_rows_that_look_the_same_share_a_picture():
    looks = looks_of(chosen_rows(["lake-15", "lake-30", "latency-100", "fog", "start-turned"]))
    assert [names for names, _ in looks] == ["lake-15, lake-30, latency-100", "fog", "start-turned"]
    assert (looks[0][1] != looks[2][1]).any()


def test_pictures_of_many_models_are_drawn(tmp_path):
    names = [f"model-{number}" for number in range(7)]
    drives = {name: drive(autonomy_percent=-10.0 + 15 * number) for number, name in enumerate(names)}
    paths = write_suite(tmp_path, result(**drives))
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("--suite", "--rows", "lake-99"), "no row of the suite is called lake-99; there are lake-15, lake-30"),
        (("--suite", "--speed", 20), "--speed is for a single drive"),
        (("--suite", "--camera-pitch", 1), "--camera-pitch is for a single drive"),
        (("--suite", "--in-process"), "--in-process is for a single drive"),
        (("--suite", "--jobs", 0), "jobs 0, expected 1 to"),
        (("--suite", "--laps", 0), "laps 0, expected more than 0"),
        (("--suite", "--recordings", ROOT / "docs"), "no driving_log.csv in this folder"),
        (("--jobs", 2), "--jobs is for many drives; add --suite"),
        (("none.h5", "--suite"), "none.h5: there is no such model"),
        (("none.h5",), "only one model can be scored at a time; compare several with --suite"),
    ],
)
def test_what_no_suite_can_do_is_told(untrained_model, line, told, capsys):
    assert told in refusal(capsys, "evaluate", untrained_model, *line)


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_the_suite_with_its_message(untrained_model, tmp_path):
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(b"nothing")
    line = ("evaluate", untrained_model, damaged, "--suite", "--rows", "lake-30", "--laps", 0.01, "--jobs", 2)
    said = run_script(*line, code=1).stderr
    assert "error: " in said
    assert "damaged.h5" in said


def workers_of(pid):
    """Return the driving processes among those that a process started."""
    lines = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children_of(pid)}
    return [child for child, line in lines.items() if b"spawn_main" in line]


@pytest.mark.slow
@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM, signal.SIGKILL])
def test_a_suite_that_is_ended_leaves_no_process_behind(untrained_model, how):
    line = command("evaluate", untrained_model, "--suite", "--rows", "lake-15", "mountain", "--jobs", 2)
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as suite:
        wait_for(lambda: len(workers_of(suite.pid)) == 2)
        workers = workers_of(suite.pid)
        assert "driving" in suite.stderr.readline()
        suite.send_signal(how)
        said = suite.communicate(timeout=40)[1]
    assert suite.returncode == (-9 if how == signal.SIGKILL else 130)
    assert "Traceback" not in said
    for worker in workers:
        wait_for(lambda worker=worker: not Path(f"/proc/{worker}/exe").exists())


@pytest.mark.slow
def test_a_process_that_dies_is_told_with_what_it_drove(untrained_model):
    task = Task(untrained_model, None, chosen_rows(["lake-15"])[0])
    with Crew(1) as crew:
        answers = crew.drive([task])
        assert next(answers)[0] == task  # it drives
        (worker,) = workers_of(os.getpid())
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(UserError, match=r"driving lake-15 with .*untrained.h5, was killed by signal 9; .* --jobs"):
            list(answers)
    assert not Path(f"/proc/{worker}/exe").exists()


def test_settings_refuse_numbers_of_processes_that_no_machine_has():
    with pytest.raises(ValueError, match="jobs 1000, expected 1 to 256"):
        SuiteSettings(jobs=1000)
