"""Settings are declared once: the checks, the options and the help of a field follow from it."""

import argparse
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from bcclone.cli import settings_as_typed
from bcclone.commands.options import Command, Given
from bcclone.commands.parser import declare
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.drive_settings import DriveSettings
from bcclone.evaluation.evaluate_settings import EvaluateSettings, SuiteSettings
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
    spans: tuple[str, str] = setting((), "two positions", unit="FROM TO")
    near: tuple[Path, ...] = setting((), "a file")


def parser():
    made = argparse.ArgumentParser()
    declare(Command(print, "", (Example,)), made)
    return made


def given(*words):
    return Given(parser(), words).of(Example)


def test_an_error_names_the_option_that_the_user_typed():
    with pytest.raises(UserError, match="^--speed 61, expected "), settings_as_typed(parser()):
        Example(speed_mph=61.0)


def test_an_error_survives_the_way_from_another_process_with_what_the_user_typed():
    error = pickle.loads(
        pickle.dumps(SettingError("{rate} {value}; leave out {steps}", value="{0}"))
    )
    assert (str(error), error.naming(str.upper)) == (
        "rate {0}; leave out steps",
        "RATE {0}; leave out STEPS",
    )


def test_only_the_options_that_were_given_arrive_and_a_text_stands_for_a_path_and_a_tuple_of_one():
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
        parser().parse_args(words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_the_help_names_unit_range_zero_and_default():
    text = " ".join(parser().format_help().split())
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
    assert option_words(SpeedSettings(speed_mph=20.0)) == ["--speed", "20.0"]
    assert option_words(EvaluateSettings(reverse=True)) == ["--reverse"]
    assert option_words(SpeedSettings()) == []
    assert option_words(SuiteSettings(most_interventions=3)) == []  # it has no option
    drive = DriveSettings(preprocess="carnd-128-rgb", allow_from=("127.0.0.2", "127.0.0.3"))
    addresses = ["--allow-from", "127.0.0.2", "--allow-from", "127.0.0.3"]
    assert option_words(drive) == [*addresses, "--preprocess", "carnd-128-rgb"]
