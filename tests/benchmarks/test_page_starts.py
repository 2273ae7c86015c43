"""The report of page-starts: medians, bars, and the ratios of starts of the same round."""

from benchmarks.page_starts import _IMPORT, _report


def test_starts_of_the_same_round_are_compared():
    results = {
        "play": [{"answers": 0.5, "a key steers": 2.0}, {"answers": 0.7, "a key steers": 8.0}],
        "other play": [
            {"answers": 1.0, "a key steers": 4.0},
            {"answers": 1.4, "a key steers": 8.0},
        ],
        "drive MODEL": [{"answers": 0.5, "usable": 6.0}, {"answers": 1.9, "usable": 12.0}],
        "other drive MODEL": [{"answers": 0.5, "usable": 6.0}, {"answers": 1.9, "usable": 6.0}],
        _IMPORT: [{"done": 3.0}, {"done": 6.0}],
    }
    report = _report(results, "other ")
    values = {measure.name: measure.value for measure in report.measures}
    assert values["play: a key steers"] == 5
    assert values["play: a key steers / other version's"] == 0.75
    assert values["drive MODEL: usable / other version's"] == 1.5
    assert values["drive MODEL: usable / import of TensorFlow"] == 2
    reached = {measure.name: measure.reached for measure in report.measures}
    assert reached["play: answers"]
    assert not reached["play: a key steers"]
    assert reached["drive MODEL: usable"] is None
    assert not any("other play" in line for line in report.to_rows())
