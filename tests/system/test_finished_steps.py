"""The results of finished steps, which a repeated command takes over."""

from dataclasses import dataclass

from bcclone.system.pool import FinishedSteps


@dataclass(frozen=True)
class Figures:
    number: int
    values: tuple[float, ...] = ()


def test_a_result_is_read_as_it_was_kept_and_a_damaged_one_counts_as_unfinished(tmp_path):
    result = Figures(1, (0.5, 1.5))
    assert FinishedSteps(None, Figures).keep("one", result) == result
    assert FinishedSteps(None, Figures).find("one") is None
    FinishedSteps(tmp_path / "new", Figures).keep("one", result)
    steps = FinishedSteps(tmp_path / "new", Figures)  # as of another process
    assert steps.find("one") == result
    assert steps.find("two") is None
    (path,) = steps.folder.iterdir()
    for text in (
        "",
        "[]",
        "{}",
        '{"number": "1"}',
        path.read_text()[:-5],
        path.read_text().replace("values", "more"),
    ):
        path.write_text(text)
        assert steps.find("one") is None
