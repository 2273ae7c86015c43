from pathlib import Path

import pytest

from bcclone.bench.settings import VerdictsBenchSettings
from bcclone.bench.verdicts import measure_verdicts
from bcclone.errors import UserError
from tests.conftest import ROOT


@pytest.mark.long
@pytest.mark.timeout(900)
def test_verdicts_on_random_roads_do_not_depend_on_threads_and_libraries():
    measures = measure_verdicts(VerdictsBenchSettings(ROOT / "models" / "lake.h5", roads=2, length="150"))
    values = {measure.name: measure for measure in measures}
    assert values["roads driven to the end"].unit == "of 2"
    with_bars = [measure for measure in measures if measure.bar is not None]
    assert len(with_bars) == 6
    assert [measure.value for measure in with_bars] == [0] * 6


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": Path("none.h5")}, "none.h5: no such model"),
        ({"model": ROOT / "models" / "lake.h5", "length": "7"}, "length=7, expected a number, or a range"),
    ],
)
def test_what_cannot_be_driven_is_refused_before_any_run(settings, words):
    with pytest.raises(UserError, match=words):
        measure_verdicts(VerdictsBenchSettings(**settings))
