"""The table of commands: each command stands in it once, and a line finds its command."""

from importlib import import_module
from pathlib import Path

import pytest

from bcclone import commands
from bcclone.commands import COMMANDS, GROUPS, load_command, split_line
from bcclone.commands.options import Command
from tests.processes import python
from tests.running import run_process

WINGS = tuple(
    f"bcclone.{room}" for room in ("cluster", "editor", "exchange", "realcar", "research")
)


def declared_commands():
    """Return (module, function) of each command in the modules of bcclone.commands."""
    found = []
    for path in Path(commands.__file__).parent.glob("*.py"):
        module = import_module(f"{commands.__name__}.{path.stem}")
        found += [
            (path.stem, name) for name, value in vars(module).items() if isinstance(value, Command)
        ]
    return sorted(found)


def test_each_command_stands_in_the_table_and_nothing_else_does():
    assert (
        sorted((entry.module, entry.function) for entry in COMMANDS.values()) == declared_commands()
    )
    assert len(COMMANDS) == sum(map(len, GROUPS.values()))


def test_a_command_is_found_by_the_name_of_its_function():
    for name, entry in COMMANDS.items():
        assert entry.function.rstrip("_") == name.replace("-", "_").replace(" ", "_")
        assert load_command(name).function.__name__ == entry.function


def test_the_help_lists_each_command_below_the_heading_of_its_group():
    printed = run_process("--help").stdout
    for heading, group in GROUPS.items():
        section = printed.split(f"\n{heading}:\n")[1].split("\n\n")[0]
        assert [line.strip().split("  ")[0] for line in section.splitlines()] == list(group)
        assert all(entry.summary in section for entry in group.values())


def test_the_help_of_the_first_of_two_words_lists_their_commands_only():
    printed = run_process("simulate", "--help").stdout
    for name, entry in COMMANDS.items():
        assert (entry.summary in printed) == name.startswith("simulate ")


@pytest.mark.parametrize("name", GROUPS["the main job"])
def test_the_main_job_starts_without_a_wing(name):
    """Only the module that extends a command by a wing, if there is one, imports the wing."""
    code = (
        "import sys; from importlib import import_module;"
        f"import_module('bcclone.commands.{COMMANDS[name].module}');"
        f"print([name for name in sys.modules if name.startswith({WINGS})])"
    )
    assert python(code) == "[]\n"


@pytest.mark.parametrize(
    ("line", "name", "others"),
    [
        ("drive m.h5 run1", "drive", ["m.h5", "run1"]),
        ("simulate drive --laps 2", "simulate drive", ["--laps", "2"]),
        ("simulate", "", ["simulate"]),
        ("", "", []),
    ],
)
def test_a_line_begins_with_the_name_of_its_command(line, name, others):
    assert split_line(line.split()) == (name, others)
