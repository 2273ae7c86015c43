"""Every option arrives: what is given on the command line is what the settings of its name say."""

import argparse

import pytest

from bcclone.commands.options import (
    actions_of,
    add_conditions,
    add_hardships,
    given_conditions,
    given_hardships,
)
from bcclone.commands.train_options import add_training_options
from bcclone.commands.train_settings import Wanted
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.world import WorldSettings


def declared(add):
    parser = argparse.ArgumentParser()
    add(parser)
    return parser


def named(add):
    return [action for action in actions_of(declared(add)) if action.dest not in ("help", "settings")]


def words_for(action):
    """Return ways to give an option, and the value that is then to arrive."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return [([action.option_strings[1]], False), ([action.option_strings[0]], True)]
    if action.choices:
        return [([action.option_strings[0], str(choice)], choice) for choice in action.choices]
    special = {"time": ("90s", 90.0), "sun_elevation": ("20", 20.0)}
    text, value = special.get(action.dest) or (("0.25", 0.25) if action.type is float else ("2", 2))
    return [([action.option_strings[0], text], value)]


def ids(action):
    return action.dest


@pytest.mark.parametrize("action", named(add_training_options), ids=ids)
def test_an_option_of_the_training_reaches_its_setting(action):
    for words, value in words_for(action):
        wanted = Wanted.of(declared(add_training_options).parse_args(words))
        settings = (wanted.new(), wanted.upkeep, wanted.feed("hdf5"))
        found = [getattr(part, action.dest) for part in settings if hasattr(part, action.dest)]
        assert found == [value]


@pytest.mark.parametrize("action", named(add_conditions), ids=ids)
def test_an_option_of_the_world_reaches_its_setting(action):
    for words, value in words_for(action):
        conditions = given_conditions(declared(add_conditions).parse_args(words))
        assert conditions == Conditions(**{action.dest: value})


@pytest.mark.parametrize("action", named(add_hardships), ids=ids)
def test_an_option_that_makes_driving_harder_reaches_its_setting(action):
    words = [action.option_strings[0], "2"]
    settings = WorldSettings(**given_hardships(declared(add_hardships).parse_args(words)))
    name, value = ("latency_seconds", 0.002) if action.dest == "latency_ms" else (action.dest, 2.0)
    assert settings == WorldSettings(**{name: value})
