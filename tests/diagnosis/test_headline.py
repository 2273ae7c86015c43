"""The headline of a diagnosis says in plain words which seconds can be used."""

import numpy as np
import pytest

from bcclone.diagnosis.advice import Coverage
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.usable_seconds import Part, Use
from bcclone.diagnosis.verdict import Diagnosis


def diagnosis(*seconds_and_uses, findings=()):
    """Return a diagnosis of parts that last so many seconds."""
    parts = tuple(Part(1, 2, seconds, (), use) for seconds, use in seconds_and_uses)
    usable = sum(seconds for seconds, use in seconds_and_uses if use is Use.NOW)
    coverage = Coverage(np.zeros((2, 3)), np.zeros(1), usable_seconds=usable)
    return Diagnosis(
        findings=findings,
        coverage=coverage,
        parts=parts,
        unknown=("whether the throttle is right: the pictures do not show it",),
    )


@pytest.mark.parametrize(
    ("parts", "headline"),
    [
        ([(96.6, Use.NOW)], "All 97 s of driving can be used: no fault was found."),
        ([(85.0, Use.NOW), (37.0, Use.NOT)], "85 of 122 s can be used, 37 s not."),
        (
            [(85.0, Use.NOW), (11.0, Use.AFTER_EDITS), (0.5, Use.TOO_SHORT), (25.5, Use.NOT)],
            "85 of 122 s can be used, 11 s more once mended, 26 s not.",
        ),
        ([(122.0, Use.AFTER_EDITS)], "0 of 122 s can be used, 122 s more once mended."),
    ],
)
def test_the_headline_says_which_seconds_can_be_used(parts, headline):
    assert diagnosis(*parts).headline == headline


def test_a_fault_with_which_all_can_be_used_is_no_contradiction():
    bias = Finding("bias", "the car drives straight on with a steering of 0.2", usable=True)
    headline = diagnosis((60.0, Use.NOW), findings=(bias,)).headline
    assert headline == "All 60 s of driving can be used: with what is said below."


def test_what_is_not_judged_is_a_sentence_of_its_own():
    assert diagnosis((60.0, Use.NOW)).not_judged == "Not judged: whether the throttle is right."
    assert Diagnosis().not_judged == ""


def test_without_seconds_the_headline_says_whether_anything_can_be_used():
    assert Diagnosis().headline == "It cannot be judged."
    missing = Finding("no-images", "none of the images exists")
    assert Diagnosis((missing,)).headline == "Nothing can be used as it is."
