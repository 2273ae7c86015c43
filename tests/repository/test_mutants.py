"""`make mutants` reports surviving mutants, and accepts known equivalent ones."""

import pytest

from tests.repository.mutants import Known, Mutant, summarize

KILLED = [Mutant(f"bcclone.order.x_f__mutmut_{number}", "killed") for number in range(20)]
SURVIVED = Mutant("bcclone.order.x_f__mutmut_20", "survived", "a = b")
EQUIVALENT = {"bcclone.order": {"f": Known(1, "b is a")}}


def test_killed_endless_and_equivalent_mutants_pass():
    endless = Mutant("bcclone.order.x_f__mutmut_21", "timeout")
    assert summarize([*KILLED, SURVIVED, endless], EQUIVALENT) == ([("bcclone.order", 22, 21, 1, 1)], [])


@pytest.mark.parametrize("status", ["survived", "no tests", "not checked", "segfault", "suspicious"])
def test_a_mutant_that_no_test_noticed_is_named_with_its_change(status):
    rows, (wrong,) = summarize([*KILLED, SURVIVED._replace(status=status)], {"bcclone.order": {}})
    assert rows == [("bcclone.order", 21, 20, 1, 0)]
    assert wrong.startswith(f"bcclone.order.x_f__mutmut_20 {status}")
    assert wrong.endswith("a = b")


def test_more_survivors_than_the_known_number_are_reported():
    rows, wrong = summarize([*KILLED, *KILLED, SURVIVED, SURVIVED._replace(change="a = c")], EQUIVALENT)
    assert rows[0].equivalent == 1
    assert [line.rpartition(": ")[2] for line in wrong] == ["a = b", "a = c"]


def test_a_number_that_is_too_high_is_reported():
    (wrong,) = summarize(KILLED, EQUIVALENT)[1]
    assert "bcclone.order.f" in wrong
    assert "EQUIVALENT" in wrong


def test_a_mutant_of_a_method_names_its_class():
    assert Mutant("bcclone.order.xǁQueueǁpop__mutmut_3", "survived").function == "Queue.pop"


def test_equivalent_mutants_are_a_small_part_of_a_module():
    survived = [SURVIVED, SURVIVED]
    known = {"bcclone.order": {"f": Known(2, "b is a")}}
    assert summarize([*KILLED, *survived], known)[1] == ["bcclone.order: 20 of 22 killed, expected 95% or more"]


def test_a_module_without_mutants_is_reported():
    assert summarize([], {"bcclone.order": {}})[1] == ["bcclone.order: 0 of 0 killed, expected 95% or more"]
