"""Learning from take-overs: what is mixed, how corrections weigh, and how the result is told."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bcclone.camera.vehicle import MPH
from bcclone.dataset.plan import make_plan
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import open_store
from bcclone.evaluation.evaluate import evaluate_policy
from bcclone.evaluation.scenarios import Scenario
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.model.policy import load_policy
from bcclone.recording.run_tables import DRIVERS, HUMAN, MODEL, TRACE, DrivenBy, read_trace
from bcclone.research.improve import OPTIONS, work_folder
from bcclone.research.improve_settings import ImproveSettings
from bcclone.research.rounds import Improvement, Round, compare
from bcclone.research.take_overs import Place, Trial, read_take_overs, trial_of
from bcclone.simulator.score import LAPS_DRIVEN, Score
from bcclone.simulator.traced import RecordedWorld, off_road_images, read_world, write_world
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError
from tests.evaluation.blind import Blind
from tests.recordings import images_of, rewrite
from tests.research.taken_over import record_take_overs
from tests.running import result_of, run_script


def take_over(recording, begin, end):
    """Let a person take over in these rows."""
    rows = [DrivenBy(HUMAN, 1) if begin <= row < end else DrivenBy(MODEL) for row in range(120)]
    lines = [
        row.row(image.name) + "\n" for row, image in zip(rows, images_of(recording), strict=True)
    ]
    (recording / DRIVERS.name).write_text(DRIVERS.header + "".join(lines))


def score(interventions, ended="laps driven", mean_m=0.3):
    autonomy = 100.0 - 5 * interventions
    return Score(
        autonomy, interventions, None, 1140.0, mean_m, 1.2, 20.0, 0.1, 128.0, {}, 1.0, ended
    )


def test_corrections_are_counted_against_all_other_images_that_are_used(
    recording, simulated_recording
):
    take_over(recording, 90, 102)  # 75 rows before are left out
    recordings = (str(recording), str(simulated_recording))
    found = read_take_overs(recordings, ("center", "left", "right"))
    assert (found.corrections, found.others) == (12 * 3, (120 - 12 - 75 + 120) * 3)
    assert (found.rows, found.off_road, len(found.places), found.placeless) == (12, 0, 1, 0)
    # without a trace, nothing tells where it was, or that it was off the road
    (recording / TRACE.name).unlink()
    found = read_take_overs(recordings, ("center", "left", "right"))
    assert (found.corrections, found.places, found.placeless) == (12 * 3, (), 1)
    found = read_take_overs((str(recording),), ("center",))
    assert (found.corrections, found.others) == (12, 120 - 12 - 75)


def test_without_a_take_over_there_is_nothing_to_learn_from(simulated_recording):
    with pytest.raises(
        UserError, match=r"no row in which a person has taken over.*drivers\.csv.*--expert"
    ):
        read_take_overs((str(simulated_recording),), ("center",))
    with pytest.raises(ValueError, match=r"nothing to learn from.*expert"):
        ImproveSettings("model.h5")


def improvement(*scores):
    """The result of rounds with these scores, row of the suite -> score."""
    rounds = tuple(
        Round(number=number, model="", scores=each) for number, each in enumerate(scores)
    )
    settings = EvaluateSettings()
    rows = tuple(Scenario(row, f"how {row} is", settings) for row in scores[0])
    return Improvement(
        rounds, Path("weak.h5"), Path("better.h5"), Path("work"), Trial(rows, (), "the lake")
    )


def test_rows_that_became_worse_are_named():
    before = {"lake-15": score(2), "fog": score(0), "lake-30": score(2), "no-lines": score(2)}
    after = {"lake-15": score(0), "fog": score(1), "lake-30": score(2), "no-lines": score(0)}
    made = improvement(before, after)
    verdicts = [row["verdict"] for row in made.figures()["compared"]]
    assert verdicts == ["better", "worse", "same", "better"]
    assert "6 interventions before, 3 after; WORSE than before on fog" in made.sentences()
    assert "WORSE" in str(made.table())
    # a missed goal is worse than any number of interventions
    assert compare({"fog": score(2)}, {"fog": score(1, "it stood still")}) == {"fog": "worse"}


@pytest.mark.parametrize(
    ("scores", "words", "is_new"),
    [
        ((score(2), score(1)), "better.h5 is the model after round 1", True),
        ((score(1), score(2)), "NOT IMPROVED", False),
        ((score(1), score(1)), "NOT IMPROVED", False),
        ((score(2), score(1), score(1)), "better.h5 is the model after round 2", True),
        ((score(0),), "nothing to learn", False),
        # fewer interventions are no gain if a goal is missed
        (
            (score(2), score(1, "the car stood still")),
            "1 intervention and misses 1 goal; before, 2 interventions",
            False,
        ),
    ],
)
def test_the_outcome_says_which_model_was_written(scores, words, is_new):
    made = improvement(*({"fog": each} for each in scores))
    outcome = made.sentences()[-1]
    assert words in outcome
    assert ("go on with weak.h5; better.h5 was not written" in outcome) == (not is_new)
    assert (made.figures()["chosen"] > 0) == made.figures()["improved"] == is_new


def test_with_equal_interventions_the_distance_from_the_middle_decides_beyond_its_noise():
    rows = [f"place-{number}" for number in range(4)]
    old = dict(zip(rows, (0.2, 0.25, 0.2, 0.25), strict=True))

    def outcome(*distances_m):
        new = dict(zip(rows, distances_m, strict=True))
        scores = [{row: score(0, mean_m=each[row]) for row in rows} for each in (old, new)]
        return improvement(*scores)

    assert outcome(0.12, 0.15, 0.1, 0.14).is_improved
    assert not outcome(0.28, 0.3, 0.27, 0.29).is_improved  # from 0.22 to 0.28 m
    assert not outcome(0.05, 0.4, 0.1, 0.3).is_improved  # better here, worse there
    assert not outcome(0.19, 0.24, 0.19, 0.24).is_improved  # too little to be seen
    assert "m from the centre line on average" in outcome(0.28, 0.3, 0.27, 0.29).sentences()[-1]


def test_what_the_choosing_drives_call_better_has_to_hold_in_the_others():
    made = improvement({"a": score(2), "b": score(0)}, {"a": score(0), "b": score(1)})
    choosing, other = made.trial.deciding
    assert made.is_improved
    parted = replace(made, trial=Trial((choosing,), (other,), "the lake"))
    assert not parted.is_improved
    assert "worse in the others" in parted.sentences()[-1]
    assert [row["row"] for row in parted.figures()["compared"]] == ["b"]
    assert parted.figures()["decided_by"] == ["a"]


# ---- the places of take-overs


@pytest.fixture
def traced(simulated_recording, tmp_path):
    """A recording with a trace in which a person took over at the rows 80 to 99."""
    folder = shutil.copytree(simulated_recording, tmp_path / "traced")
    take_over(folder, 80, 100)
    return folder


def put_aside(folder, begin, end, right_m):
    """Put the car so far to the right of the road's middle at these rows of the trace."""
    lines = (folder / TRACE.name).read_text().splitlines()
    for row in range(begin, end):
        cells = lines[1 + row].split(",")
        lines[1 + row] = ",".join([*cells[:-1], f"{right_m:.4f}"])
    (folder / TRACE.name).write_text("\n".join(lines) + "\n")


def test_rows_off_the_road_are_left_out_and_counted(traced, tmp_path):
    before = read_take_overs((str(traced),), ("center",))
    put_aside(traced, 70, 88, 4.0)  # 8 rows of the take-over
    after = read_take_overs((str(traced),), ("center",))
    assert (before.corrections, before.off_road) == (20, 0)
    assert (after.corrections, after.off_road, after.rows) == (12, 8, 20)
    put_aside(traced, 0, 5, -4.0)  # where the model drove
    line = ("preprocess", traced, "-o", tmp_path / "data.h5", "--size", 16, "--cameras", "center")
    done = run_script(*line, "--rows", "good")
    assert "13 of them because the car was off the road" in done.stderr
    every = make_plan((str(traced),), SampleSettings(), None, unfit=off_road_images)
    assert not every.notices  # --rows all takes all
    put_aside(traced, 80, 100, 4.0)
    with pytest.raises(UserError, match="off the road in all 20 rows.*take over earlier"):
        read_take_overs((str(traced),), ("center",))


def test_take_overs_without_an_image_of_the_models_cameras_are_refused_for_that(traced):
    rewrite(traced, lambda rows: [[row[0], "", *row[2:]] for row in rows])
    with pytest.raises(UserError, match="none of the 20 rows.*has an image of left.*--check"):
        read_take_overs((str(traced),), ("left",))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_place_is_driven_as_it_was_recorded(traced, reverse):
    points = list(read_trace(traced).values())
    track = load_track("lake", reverse)
    here = points[80]
    at_m = track.locate(here.x_m, 2.0, here.z_m).along_m
    if reverse:  # the sides are those of the way that the car drives
        for row, point in enumerate(points):
            put_aside(traced, row, row + 1, -point.cross_track_m)
    (place,) = read_take_overs((str(traced),), ("center",)).places
    assert place.world == RecordedWorld(reverse, Conditions())  # as far as the trace tells it
    assert place.begin_m == pytest.approx(at_m, abs=0.5)
    foggy = RecordedWorld(reverse, Conditions(fog=3.0, night=0.4))
    write_world(traced, foggy)
    assert read_world(traced) == foggy
    found = read_take_overs((str(traced),), ("center",))
    assert not found.assumed
    trial = trial_of(found.places, (), 0.5)
    assert len({drive.name for drive in trial.scenarios}) == len(trial.scenarios) == 6
    assert len({drive.settings.start_offset_m for drive in trial.scenarios}) == 5
    for drive in trial.scenarios:
        settings = drive.settings
        assert (settings.track, settings.reverse) == ("lake", reverse)
        assert (settings.fog, settings.night) == (3.0, 0.4)
        if drive.name.startswith("place"):
            before_m = (at_m - settings.start_m) % track.lap_m
            assert 20 <= before_m < 70
            assert before_m < drive.length_m < 250
    assert trial.scenarios[-1].settings.laps == 0.5


def test_places_near_each_other_are_one_and_many_are_thinned_out_aloud():
    world = RecordedWorld(False, Conditions())
    places = [Place("lake", world, 20.0, float(at), at + 10.0) for at in range(0, 1100, 50)]
    trial = trial_of(places, (), 1.0)
    assert "12 of 22 places" in trial.roads
    assert len(trial.deciding) == 2 * 12
    rows = (Scenario("fog", "fog", EvaluateSettings()),)
    assert trial_of(places[:1], rows, 1.0).confirming[-1:] == rows


def test_a_world_that_is_none_is_refused_with_its_file(traced):
    (traced / "world.json").write_text('{"reverse": 3}')
    with pytest.raises(UserError, match=r"world\.json"):
        read_take_overs((str(traced),), ("center",))


@pytest.mark.slow
def test_a_drive_at_a_place_begins_there():
    settings = EvaluateSettings("lake", speed_mph=20.0, laps=0.02, start_m=300.0)
    world_of = Blind(0.0)
    evaluation = evaluate_policy(world_of, settings)
    first = evaluation.trace[0]
    at_m = load_track("lake").locate(first.x, 2.0, first.z).along_m
    assert at_m == pytest.approx(300, abs=1)
    assert evaluation.score.distance_m == pytest.approx(0.02 * 1138, abs=2 * 20 * MPH)


@pytest.mark.parametrize(
    ("more", "words"),
    [(("--expert", "--rows", "lake-99"), "lake-30"), (("none",), "none"), ((), "taken over")],
)
def test_a_mistake_is_refused_before_anything_is_driven_or_written(
    simulated_recording, tmp_path, more, words
):
    model = tmp_path / "model.h5"
    model.touch()
    line = ("improve", model, simulated_recording, *more, "-o", tmp_path / "better.h5")
    assert words in run_script(*line, code=1).stderr
    assert not (tmp_path / "better-improve").exists()


@pytest.mark.slow
def test_a_model_is_trained_on_from_take_overs_and_compared_row_by_row(
    recording, untrained_model, tmp_path
):
    take_over(recording, 80, 100)
    model = shutil.copy(untrained_model, tmp_path / "model.h5")
    line = ("improve", model, recording, "-o", tmp_path / "better.h5", "--epochs", 1, "--jobs", 1)
    suite = ("--rows", "start-turned", "--laps", 0.035)
    done = run_script(*line, *suite, code=None)
    assert "start-turned" in done.stdout
    assert "before" in done.stdout
    with open_store(tmp_path / "better-improve" / "store") as store:
        assert store.sample_settings.rows == "good"
        assert store.sample_settings.correction_weight == round((120 - 20 - 75) / 20)
    refused = run_script(*line, *suite, code=1).stderr
    assert "--resume" in refused
    assert "--force" in refused
    model.unlink()
    # it is complete: nothing is trained
    result = result_of(*line, *suite, "--resume", code=done.returncode)
    assert [one["number"] for one in result["rounds"]] == [0, 1]
    assert result["rounds"][1]["all_rows"] == 45


@pytest.mark.slow
def test_a_model_is_judged_where_a_person_took_over_and_an_old_one_is_kept(
    untrained_model, tmp_path
):
    drive = tmp_path / "drive1"
    settings = EvaluateSettings("lake", speed_mph=12.0, laps=0.06, light=0.7)
    assert record_take_overs(drive, load_policy(untrained_model), settings, beyond_m=0.8)
    line = ("improve", untrained_model, drive, "-o", tmp_path / "better.h5", "--jobs", 1)
    done = run_script(*line, "--epochs", 1, "--laps", 0.02, "--json", code=None)
    result = json.loads(done.stdout)
    assert "on lake" in result["roads"]
    assert {row["description"].split(",")[0] for row in result["compared"]} >= {
        "lake",  # the whole road, and before it the places
    }
    names = {row["row"] for row in result["compared"]} | set(result["decided_by"])
    assert names == {one["row"] for one in result["rounds"][0]["scores"]}
    before, after = ({row["row"]: row for row in one["scores"]} for one in result["rounds"])

    def faults(scores, rows):
        """Missed goals, then interventions."""
        of_rows = [scores[row] for row in rows]
        missed = sum(row["ended"] != LAPS_DRIVEN for row in of_rows)
        return missed, sum(row["interventions"] for row in of_rows)

    deciding = result["decided_by"]
    told = [row["row"] for row in result["compared"]]
    change = [faults(before, rows) > faults(after, rows) for rows in (deciding, told)]
    harm = [faults(before, rows) < faults(after, rows) for rows in (deciding, told)]
    distance_m = [
        sum(
            scores[row]["mean_abs_cross_track_m"]
            for row in deciding
            if before[row]["ended"] == after[row]["ended"] == LAPS_DRIVEN
        )
        for scores in (before, after)
    ]
    if any(harm) or not (change[0] or distance_m[1] < distance_m[0]):
        assert not result["improved"]
    elif all(change):
        assert result["improved"]
        assert (tmp_path / "better.h5").read_bytes() == (
            tmp_path / "better-improve" / "models" / "01.h5"
        ).read_bytes()
    # what is not better is not written, and the exit code says so
    assert done.returncode == int(not result["improved"])
    assert (tmp_path / "better.h5").exists() == result["improved"]
    trained = tmp_path / "better-improve" / "models" / "01.h5"
    assert trained.is_file()
    if not result["improved"]:
        plain = run_script(*line, "--epochs", 1, "--laps", 0.02, "--resume", code=1)
        assert str(trained) in plain.stdout
        assert f"play {untrained_model}" in plain.stdout


@pytest.mark.parametrize("content", [b"{", b"{}"])
def test_options_that_are_none_are_refused(tmp_path, content):
    settings = ImproveSettings(
        tmp_path / "model.h5", expert=True, output=tmp_path / "better.h5", resume=True
    )
    settings.folder.mkdir()
    (settings.folder / OPTIONS).write_bytes(content)
    with pytest.raises(UserError, match="better-improve.*--output"), work_folder(settings):
        pass
