"""`make mutants` reports surviving mutants, and accepts known equivalent ones."""

import pytest

from tests.repository.mutants import Known, Mutant, summarize

KILLED = [Mutant(f"bcclone.order.x_f__mutmut_{number}", "killed") for number in range(20)]
SURVIVED = Mutant("bcclone.order.x_f__mutmut_20", "survived", "a = b")
EQUIVALENT = {"bcclone.order": {"f": Known(1, "b is a")}}


def test_killed_endless_and_equivalent_mutants_pass():
    endless = Mutant("bcclone.order.x_f__mutmut_21", "timeout")
    assert summarize([*KILLED, SURVIVED, endless], EQUIVALENT) == ([("bcclone.order", 22, 21, 1, 1)], [])
    assert Mutant("bcclone.order.xǁQueueǁpop__mutmut_3", "survived").function == "Queue.pop"


@pytest.mark.parametrize(
    ("mutants", "known", "words"),
    [
        ([*KILLED, SURVIVED._replace(status="no tests")], {}, ["x_f__mutmut_20 no tests, 0 known: a = b"]),
        ([*KILLED, *KILLED, SURVIVED, SURVIVED._replace(change="c")], EQUIVALENT["bcclone.order"], [": a = b", ": c"]),
        (KILLED, EQUIVALENT["bcclone.order"], ["bcclone.order.f: 0 survived, 1 are listed in EQUIVALENT; lower that"]),
        ([*KILLED, SURVIVED, SURVIVED], {"f": Known(2, "b is a")}, ["20 of 22 killed, expected 95% or more"]),
        ([], {}, ["0 of 0 killed, expected 95% or more"]),
    ],
)
def test_what_is_wrong_is_named(mutants, known, words):
    wrong = summarize(mutants, {"bcclone.order": known})[1]
    assert [each for each, line in zip(words, wrong, strict=True) if each not in line] == []
