"""Settings are declared once: the checks, the options and the help of a field follow from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from bcclone.commands.command import Command, Result, make_parser, parse
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.drive_settings import DriveSettings
from bcclone.evaluation.settings import EvaluateSettings, SuiteSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import (
    Checked,
    Mph,
    Names,
    Setting,
    SettingError,
    option_words,
    setting,
)
from bcclone.training.train_settings import TrainSettings


def parse_minutes(text):
    if not text.endswith("m"):
        raise ValueError(f"{text!r}, expected minutes such as 10m")
    return 60.0 * float(text[:-1])


Choice = Annotated[str, Setting(choices=("spawn", "fork"))]


@dataclass(frozen=True)
class Example(Checked):
    speed_mph: Mph = setting(25.0, "speed to hold", option="speed")
    rate: float = setting(0.5, "a rate", above=0, below=1)
    steps: int = setting(0, "steps between checkpoints", 2, zero="none", group="checkpoints")
    loss: str = setting("mse", "the loss", choices=("mse", "mae"))
    time: float = setting(0.0, "when to end", parse=parse_minutes)
    plots: bool = setting(True, "draw pictures")
    quick: bool = setting(False, "50 % of the work")
    only: Names = setting((), "pictures to draw", choices=("map", "chart"))
    method: Choice = "spawn"
    spans: tuple[str, str] = setting(("0", "1"), "two positions", unit="FROM TO")
    near: tuple[Path, ...] = setting((), "a file")


def run(example: Example, hold: float = setting(1.0, "a parameter of its own", 0, 2)) -> Result:
    return Result((example, hold), None)


COMMAND = Command(run)


def given(*words):
    return parse(COMMAND, ["example"], words)


def test_a_commands_function_gets_its_settings_and_parameters():
    result = COMMAND.run(given("--speed", "30", "--hold", "2"))
    assert result.value == (Example(speed_mph=30.0), 2.0)


@pytest.mark.parametrize("words", [("--speed", "61"), ("--hold", "3")])
def test_an_error_names_the_option_that_the_user_typed(words):
    with pytest.raises(UserError, match=f"^{words[0]} {words[1]}, expected "):
        COMMAND.run(given(*words))


def test_given_options_arrive_as_the_types_of_their_settings():
    settings = TrainSettings(data="data.h5", output="model.h5")
    assert (settings.data, settings.output, settings.start) == (
        ("data.h5",),
        Path("model.h5"),
        None,
    )
    assert given() == {}
    assert given("--speed", "30", "--steps", "5") == {"speed_mph": 30.0, "steps": 5}
    assert given("--no-plots", "--quick", "--time", "2m") == {
        "plots": False,
        "quick": True,
        "time": 120.0,
    }
    assert given("--only", "map, chart") == {"only": ("map", "chart")}
    assert given("--spans", "1", "2") == {"spans": ("1", "2")}
    assert given("--near", "a", "--near", "b") == {"near": (Path("a"), Path("b"))}


@pytest.mark.parametrize("words", [("--loss", "other"), ("--time", "2h")])
def test_values_that_cannot_be_parsed_end_with_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        given(*words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_the_help_names_unit_range_zero_and_default():
    text = " ".join(make_parser(COMMAND, "example").format_help().split())
    for words in (
        "--speed MPH speed to hold (0 to 60; default: 25)",
        "--steps N steps between checkpoints (2 or more; 0: none; default: 0)",
        "--loss {mse,mae} the loss (default: mse)",
        "--quick 50 % of the work",
        "checkpoints: --steps",
    ):
        assert words in text
    assert "--method" not in text


def test_the_words_of_an_option_line_say_what_differs_from_the_defaults():
    assert option_words(SpeedSettings(speed_mph=20.0)) == ["--speed", "20"]
    assert option_words(EvaluateSettings(reverse=True)) == ["--reverse"]
    assert option_words(SpeedSettings()) == []
    assert option_words(SuiteSettings(most_interventions=3)) == []  # it has no option
    drive = DriveSettings(preprocess="carnd-128-rgb", allow_from=("127.0.0.2", "127.0.0.3"))
    addresses = ["--allow-from", "127.0.0.2", "--allow-from", "127.0.0.3"]
    assert option_words(drive) == [*addresses, "--preprocess", "carnd-128-rgb"]


@dataclass(frozen=True)
class Typed(Checked):
    count: int = 1
    path: Path = Path("a")
    pair: tuple[int, int] = (1, 2)
    texts: tuple[str, ...] = ()
    maybe: float | None = None
    angle: float = setting(1.0, "an angle", 0.5, 1e6)
    middle: float = setting(0.0, "a middle", -1e6, 1e6)
    limited: Annotated[tuple[int, int], Setting(minimum=8)] | None = setting(None, "a size")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", True, "True, expected a whole number"),
        ("count", None, "None, expected a whole number"),
        ("path", 5, "5, expected a path"),
        ("pair", [64, 64.5], "[1] 64.5, expected a whole number"),
        ("pair", "64x64", "'64x64', expected 2 values: a whole number, a whole number"),
        ("texts", (3,), "[0] 3, expected a text"),
        ("maybe", "1", "'1', expected a number"),
        ("limited", (8, 7), "8, 7, expected 8 or more"),
        ("angle", 2e6, "2e+06, expected 0.5 to 1e+06"),
        ("angle", 0.1, "0.1, expected 0.5 or more"),
        ("middle", -2e6, "-2e+06, expected -1e+06 to 1e+06"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_is_expected(name, value, expected):
    with pytest.raises(SettingError) as refused:
        Typed(**{name: value})
    assert str(refused.value) in (f"{name} {expected}", f"{name}{expected}")


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("pair", [3, 4], (3, 4)),
        ("path", "a/b", Path("a/b")),
        ("texts", Path("a"), ("a",)),
        ("texts", ["a", Path("b")], ("a", "b")),
        ("maybe", None, None),
        ("limited", [8, 9], (8, 9)),
    ],
)
def test_a_list_stands_for_a_tuple_and_texts_and_paths_for_each_other(name, given, stored):
    value = getattr(Typed(**{name: given}), name)
    assert value == stored
    assert type(value) is type(stored)
