"""Every option sets the setting of its name; folders for results."""

import argparse

import pytest

from bcclone.cli import run_line
from bcclone.commands import COMMANDS, load_command
from bcclone.commands.command import make_parser, parse

SPECIAL = {
    "time": ("90s", 90.0), "sun_elevation": ("20", 20.0),
    "cameras": ("left,center", ("left", "center")),
    "span": ("1:5", (1.0, 5.0)), "fraction": ("0.5:1", (0.5, 1.0)),
    "rows": ("1:5", (1, 5)), "size": ("20x10", (20, 10)), "camera": ("9", (9, 9)),
    "preprocess": ("64x64, 0..1", "64x64, 0..1"),
}  # fmt: skip

SKIPPED = ("help", "only", "quantize")  # their values are checked elsewhere


def words_for(action):
    """Return command lines with an option, and the expected value of its setting."""
    *_, name = action.option_strings
    if isinstance(action, argparse.BooleanOptionalAction):
        return [([name], False), ([name.replace("--no-", "--")], True)]
    if action.nargs == 0:
        return [([name], True)]
    if action.nargs == 2:
        return [([name, "1", "2"], ("1", "2"))]
    if action.choices:
        return [([name, str(choice)], choice) for choice in action.choices]
    text = SPECIAL.get(action.dest, ("2", None))[0]
    value = action.type(text)
    if isinstance(action, argparse._AppendAction):
        value = (value,)
    return [([name, text], value)]


def test_every_option_of_every_command_reaches_its_setting():
    count = 0
    for name in COMMANDS:
        command = load_command(name)
        parser = make_parser(command, name)
        required = [
            word
            for each in parser._actions
            if each.required and each.option_strings
            for word in (each.option_strings[0], str(next(iter(each.choices))))
        ]
        required += [
            next(iter(each.choices or ["2"])) for each in parser._actions if not each.option_strings
        ]
        for action in parser._actions:
            if action.option_strings and action.dest not in SKIPPED:
                for words, value in words_for(action):
                    given = parse(command, name, [*required, *words])
                    assert given[action.dest] == value, (name, words)
                    count += 1
    assert count > 300


@pytest.mark.parametrize(
    "line", [("preprocess", "--\x1b[31mred"), ("drive", "m.h5", "r", "\x1b[2J"), ("\x1b[2J", "x")]
)
def test_errors_of_the_command_line_print_no_control_characters(line, capsys):
    with pytest.raises(SystemExit):
        run_line(line)
    printed = capsys.readouterr().err
    assert "\\x1b[" in printed
    assert "\x1b" not in printed
