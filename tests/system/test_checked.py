"""A settings dataclass takes values of the types of its fields, and refuses all others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.evaluation.evaluate_settings import EvaluateSettings, ReplaySettings
from bcclone.system.settings import Checked, Setting, SettingError, setting
from bcclone.training.train_settings import TrainSettings


@dataclass(frozen=True)
class Inner(Checked):
    number: int = 1


@dataclass(frozen=True)
class Example(Checked):
    count: int = 1
    rate: float = 0.5
    flag: bool = False
    text: str = "a"
    path: Path = Path("a")
    pair: tuple[int, int] = (1, 2)
    mixed: tuple[int, str] = (1, "a")
    numbers: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    maybe: float | None = None
    either: float | str = "auto"
    inner: Inner = Inner()
    choice: Literal["a", "b"] = "a"
    mapping: Mapping[str, Any] = field(default_factory=dict)
    limited: Annotated[tuple[int, int], Setting(minimum=8)] | None = setting(None, "a size")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", 1.5, "1.5, expected a whole number"),
        ("count", True, "True, expected a whole number"),
        ("count", None, "None, expected a whole number"),
        ("rate", "0.5", "'0.5', expected a number"),
        ("flag", 1, "1, expected true or false"),
        ("text", 5, "5, expected a text"),
        ("path", 5, "5, expected a path"),
        ("pair", [64, 64.5], "[1] 64.5, expected a whole number"),
        ("pair", (64,), "(64,), expected two whole numbers"),
        ("pair", "64x64", "'64x64', expected two whole numbers"),
        ("mixed", (1,), "(1,), expected a whole number and a text"),
        ("numbers", ("x",), "[0] 'x', expected a number"),
        ("texts", 3, "3, expected texts"),
        ("texts", (3,), "[0] 3, expected a text"),
        ("maybe", "1", "'1', expected a number"),
        ("either", [], "[], expected a number or a text"),
        ("inner", 5, "5, expected Inner"),
        ("choice", "c", "'c', expected one of a, b"),
        ("mapping", [], "[], expected a mapping"),
        ("limited", (8, 7), "8, 7, expected 8 or more"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_is_expected(name, value, expected):
    with pytest.raises(SettingError) as refused:
        Example(**{name: value})
    assert str(refused.value) in (f"{name} {expected}", f"{name}{expected}")


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("pair", [3, 4], (3, 4)),
        ("numbers", [1, 0.5], (1, 0.5)),
        ("path", "a/b", Path("a/b")),
        ("text", Path("a/b"), "a/b"),
        ("texts", "a", ("a",)),
        ("texts", Path("a"), ("a",)),
        ("texts", ["a", Path("b")], ("a", "b")),
        ("maybe", None, None),
        ("limited", [8, 9], (8, 9)),
    ],
)
def test_a_list_stands_for_a_tuple_and_texts_and_paths_for_each_other(name, given, stored):
    value = getattr(Example(**{name: given}), name)
    assert value == stored
    assert type(value) is type(stored)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: PreprocessSettings("a", size=[64, 64.5]), "size.* 64.5, expected a whole number"),
        (lambda: PreprocessSettings("a", size="64x64"), "size '64x64', expected two whole numbers"),
        (lambda: PreprocessSettings("a", output=5), "output 5, expected a path"),
        (lambda: PreprocessSettings("a", preprocessing=5), "5, expected Preprocessing"),
        (lambda: TrainSettings(start=5), "start 5, expected a path"),
        (lambda: TrainSettings(output=5), "output 5, expected a path"),
        (lambda: TrainSettings(name=5), "name 5, expected a text"),
        (lambda: TrainSettings(data=3), "data 3, expected texts"),
        (lambda: EvaluateSettings(track=5), "track 5, expected a text"),
        (lambda: EvaluateSettings(speed_mph="fast"), "speed_mph 'fast', expected a number"),
        (lambda: ReplaySettings(fraction=(0.8,)), "fraction .*, expected two numbers"),
        (lambda: ReplaySettings(limits_m=("x",)), "limits_m.* 'x', expected a number"),
    ],
)
def test_the_settings_of_commands_refuse_values_of_another_type(make, expected):
    with pytest.raises(SettingError, match=expected):
        make()


def test_a_class_that_only_the_type_checker_imports_is_known_by_its_name():
    preprocessing = Preprocessing(64, 64)
    assert PreprocessSettings("a", preprocessing=preprocessing).preprocessing is preprocessing
