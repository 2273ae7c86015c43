"""What `make mutants` lets pass."""

import pytest

from tests.repository.mutants import Mutant, judge

KILLED = [Mutant(f"bcclone.order.x_f__mutmut_{number}", "killed") for number in range(20)]
EQUIVALENT = {"bcclone.order": {"a = b": "b is a"}}


def test_killed_endless_and_equivalent_mutants_pass():
    lived = Mutant("bcclone.order.x_f__mutmut_20", "survived", "a = b")
    endless = Mutant("bcclone.order.x_f__mutmut_21", "timeout")
    assert judge([*KILLED, lived, endless], EQUIVALENT) == ([("bcclone.order", 22, 21, 1, 1)], [])


@pytest.mark.parametrize("status", ["survived", "no tests", "not checked", "segfault", "suspicious"])
def test_a_mutant_that_no_test_noticed_is_named_with_its_change(status):
    rows, wrong = judge([*KILLED, Mutant("bcclone.order.x_f__mutmut_20", status, "a = c")], {"bcclone.order": {}})
    assert rows == [("bcclone.order", 21, 20, 1, 0)]
    assert wrong == [f"bcclone.order.x_f__mutmut_20 {status}: a = c"]


def test_an_excuse_that_nothing_needs_is_to_be_taken_away():
    assert judge(KILLED, EQUIVALENT)[1] == [
        "bcclone.order: take from EQUIVALENT, no such mutant lives: a = b",
    ]


def test_excuses_are_a_small_part_of_a_module():
    lived = [Mutant(f"bcclone.order.x_f__mutmut_{number}", "survived", "a = b") for number in (20, 21)]
    assert judge([*KILLED, *lived], EQUIVALENT)[1] == ["bcclone.order: 20 of 22 killed, expected 95% or more"]


def test_a_module_without_mutants_was_not_looked_at():
    assert judge([], {"bcclone.order": {}})[1] == ["bcclone.order: 0 of 0 killed, expected 95% or more"]
