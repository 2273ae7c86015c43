"""The quick readers hold for some tries of the fuzzer; `python -m tests.fuzz` tries for as long as you want."""

import pytest

from tests.fuzz.fuzzing import fuzz
from tests.fuzz.readers import READERS


@pytest.mark.parametrize("name", ["road", "settings", "packets", "page", "video", "tub"])
def test_a_reader_holds_for_some_tries(name):
    count = fuzz(READERS[name], seed=7, most=60)
    assert count.tries == 60
    assert count.failures == {}
    assert count.held == 60


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", READERS)
def test_each_reader_holds_for_more_tries(name):
    count = fuzz(READERS[name], seed=8, most=100)
    assert count.failures == {}
