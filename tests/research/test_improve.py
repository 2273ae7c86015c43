"""Learning from take-overs: what is mixed, how corrections weigh, and how the result is told."""

import shutil
from pathlib import Path

import pytest

from bcclone.dataset.shards import open_store
from bcclone.recording.run_tables import DRIVERS, HUMAN, MODEL, DrivenBy
from bcclone.research.improve import OPTIONS, count_images, work_folder
from bcclone.research.improve_settings import ImproveSettings
from bcclone.research.rounds import Improvement, Round, compare
from bcclone.simulator.score import Score
from bcclone.system.errors import UserError
from tests.recordings import images_of
from tests.running import result_of, run_script


def take_over(recording, begin, end):
    """Let a person take over in these rows."""
    rows = [DrivenBy(HUMAN, 1) if begin <= row < end else DrivenBy(MODEL) for row in range(120)]
    lines = [
        row.row(image.name) + "\n" for row, image in zip(rows, images_of(recording), strict=True)
    ]
    (recording / DRIVERS.name).write_text(DRIVERS.header + "".join(lines))


def score(interventions, ended="laps driven"):
    autonomy = 100.0 - 5 * interventions
    return Score(autonomy, interventions, None, 1140.0, 0.3, 1.2, 20.0, 0.1, 128.0, {}, 1.0, ended)


def test_corrections_are_counted_against_all_other_images_that_are_used(
    recording, simulated_recording
):
    take_over(recording, 90, 102)  # 75 rows before are left out
    images = count_images((str(recording), str(simulated_recording)), ("center", "left", "right"))
    assert images == (12 * 3, (120 - 12 - 75 + 120) * 3)
    assert count_images((str(recording),), ("center",)) == (12, 120 - 12 - 75)


def test_without_a_take_over_there_is_nothing_to_learn_from(simulated_recording):
    with pytest.raises(
        UserError, match=r"no row in which a person has taken over.*drivers\.csv.*--expert"
    ):
        count_images((str(simulated_recording),), ("center",))
    with pytest.raises(ValueError, match=r"nothing to learn from.*expert"):
        ImproveSettings("model.h5")


def improvement(*scores):
    """The result of rounds with these scores, row of the suite -> score."""
    rounds = tuple(
        Round(number=number, model="", scores=each) for number, each in enumerate(scores)
    )
    return Improvement(rounds, Path("weak.h5"), Path("better.h5"), Path("work"))


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
    assert ("weak.h5, unchanged" in outcome) == (not is_new)
    assert (made.figures()["chosen"] > 0) == is_new


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
    done = run_script(*line, *suite)
    assert "start-turned" in done.stdout
    assert "before" in done.stdout
    with open_store(tmp_path / "better-improve" / "store") as store:
        assert store.sample_settings.rows == "good"
        assert store.sample_settings.correction_weight == round((120 - 20 - 75) / 20)
    refused = run_script(*line, *suite, code=1).stderr
    assert "--resume" in refused
    assert "--force" in refused
    model.unlink()
    result = result_of(*line, *suite, "--resume")  # it is complete: nothing is trained
    assert [one["number"] for one in result["rounds"]] == [0, 1]
    assert result["rounds"][1]["all_rows"] == 45
    assert (tmp_path / "better.h5").read_bytes() != untrained_model.read_bytes()


@pytest.mark.parametrize("content", [b"{", b"{}"])
def test_options_that_are_none_are_refused(tmp_path, content):
    settings = ImproveSettings(
        tmp_path / "model.h5", expert=True, output=tmp_path / "better.h5", resume=True
    )
    settings.folder.mkdir()
    (settings.folder / OPTIONS).write_bytes(content)
    with pytest.raises(UserError, match="better-improve.*--output"), work_folder(settings):
        pass
