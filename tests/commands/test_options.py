"""Every option sets the setting of its name; folders for results."""

import argparse
import contextlib
from pathlib import Path

import pytest

from bcclone.cli import make_parser
from bcclone.commands import load_command
from bcclone.commands.model import add_arguments as add_model_arguments
from bcclone.commands.model import chosen_settings
from bcclone.commands.options import (
    actions_of,
    add_settings,
    given_for,
    list_of,
    results_folder,
)
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.demo import DemoSettings
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.drive_settings import DriveSettings
from bcclone.feed.feed_settings import STRATEGIES
from bcclone.lab.monitor.monitor_settings import WatchSettings
from bcclone.simulator.world_settings import Conditions, ExpertSettings, WorldSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import settings_of
from bcclone.train.train_settings import NETWORKS, SETTING_NAMES


def declared(add):
    parser = argparse.ArgumentParser()
    add(parser)
    return parser


def parser_of(command, *uses):
    """Return the parser of a command, or of one of its subcommands."""
    parser = declared(load_command(command).add_arguments)
    for use in uses:
        (of_uses,) = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        parser = of_uses.choices[use]
    return parser


def named(add):
    return [action for action in actions_of(declared(add)) if action.dest not in ("help", "settings")]


def words_for(action):
    """Return command lines with an option, and the expected value of its setting."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return [([action.option_strings[1]], False), ([action.option_strings[0]], True)]
    if action.nargs == 0:
        return [([action.option_strings[0]], True)]
    if action.choices:
        return [([action.option_strings[0], str(choice)], choice) for choice in action.choices]
    special = {"time": ("90s", 90.0), "cache": ("copies", "copies"), "sun_elevation": ("20", 20.0)}
    text, value = special.get(action.dest) or (("0.25", 0.25) if action.type is float else ("2", 2))
    return [([action.option_strings[0], text], value)]


def ids(action):
    return action.dest


@pytest.mark.parametrize("action", [one for one in named(add_model_arguments) if one.dest in SETTING_NAMES], ids=ids)
def test_an_option_of_the_training_reaches_its_setting(action):
    for words, value in words_for(action):
        assert chosen_settings(declared(add_model_arguments).parse_args(words)) == {action.dest: value}


def add_world(parser):
    for kind in (Conditions, WorldSettings):
        add_settings(parser, kind)


@pytest.mark.parametrize("action", named(add_world), ids=ids)
def test_an_option_of_the_world_reaches_its_setting(action):
    for words, value in words_for(action):
        arguments = declared(add_world).parse_args(words)
        found = {**given_for(Conditions, arguments), **given_for(WorldSettings, arguments)}
        assert found == {action.dest: value}


def options_of(kind):
    return [each for each, _ in settings_of(kind)]


COMMANDS = [
    (("preprocess",), SampleSettings, "recording"),
    (("simulate", "record"), ExpertSettings, "folder"),
    (("drive",), DriveSettings, None),
    (("drive",), SpeedSettings, None),
    (("drive",), WatchSettings, None),
    (("evaluate",), WatchSettings, "m.h5"),
    (("play",), SpeedSettings, None),
    (("demo",), DemoSettings, None),
]
GIVEN = {
    "cameras": ("left,center", ("left", "center")), "correction": ("0.3", 0.3), "host": ("0.0.0.0", "0.0.0.0"),
    "token": ("a secret of theirs", "a secret of theirs"),
    "allow_from": ("127.0.0.2", ("127.0.0.2",)), "folder": ("made", Path("made")),
    "monitor": ("model.monitor", Path("model.monitor")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "kind", "positional", "name"),
    [(*command, field.name) for command in COMMANDS for field in options_of(command[1])],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_every_field_of_a_commands_settings_has_its_option(words, kind, positional, name):
    parser = parser_of(*words)
    (action,) = [action for action in parser._actions if action.dest == name and action.option_strings]
    if action.nargs == 0:
        negatable = isinstance(action, argparse.BooleanOptionalAction)
        ways = [([action.option_strings[0]], True if negatable else action.const)]
    elif name in GIVEN:
        ways = [([action.option_strings[0], GIVEN[name][0]], GIVEN[name][1])]
    else:
        ways = words_for(action)
    for given, value in ways:
        arguments = parser.parse_args([*given, *filter(None, [positional])])
        assert given_for(kind, arguments)[name] == value


@pytest.mark.parametrize("existed", [False, True])
def test_a_folder_for_results_that_came_to_none_is_not_left_behind(tmp_path, existed):
    folder = tmp_path / "results"
    if existed:
        folder.mkdir()
    with contextlib.suppress(UserError), results_folder(folder):
        assert folder.is_dir()
        raise UserError("refused")
    assert folder.exists() is existed


def test_a_folder_for_results_stays_with_what_is_in_it(tmp_path):
    with results_folder(tmp_path / "results"):
        (tmp_path / "results" / "figures.json").touch()
    assert (tmp_path / "results" / "figures.json").exists()


def test_the_texts_of_a_list_stand_below_each_other_however_long_a_name_is():
    lines = list_of({"gru": "recurrent", "a-name-of-more-than-thirteen-letters": "another"}).splitlines()
    assert lines[0].index("recurrent") == lines[1].index("another")


@pytest.mark.parametrize("texts", [{name: each.text for name, each in STRATEGIES.items()}, NETWORKS])
def test_the_help_lists_every_name_of_a_feed_and_of_a_network_with_its_text(texts):
    shown = make_parser(load_command("model"), "model.py").format_help()
    for name, text in texts.items():
        assert f"{name} {text}" in " ".join(shown.split())
