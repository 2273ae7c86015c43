"""Write the tables of options in docs/reference/cli.md from the parsers; the text around them is
written by hand.

    python docs/cli_tables.py            # update the page

A table follows `<!-- options: COMMAND -->`. `COMMAND / GROUP` is the table of one group of options;
the groups in SHARED have tables of their own, so the tables of the commands leave them out. Options
that are the same in two or more commands stand in the table `several commands`; the tables of the
commands only name them. `commands / GROUP` is the table of a group of commands.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from bcclone.commands import COMMANDS, GROUPS, load_command
from bcclone.commands.parser import help_of, make_parser
from bcclone.system.settings import option_of, type_of

PAGE = Path(__file__).parent / "reference" / "cli.md"
EVERYWHERE = {"help", "json", "quiet", "debug", "assigned"}
SHARED = {"appearance of the world", "disturbances"}
SEVERAL = "several commands"
OVERVIEW = "commands"
_TABLE = re.compile(r"(<!-- options: (.+) -->\n)(?:\|.*\n)*")


def with_tables(page: str) -> str:
    """Return the page with every table updated."""
    return _TABLE.sub(lambda found: found[1] + table_of(found[2]), page)


def table_of(what: str) -> str:
    """Return the table of a command, a group of options, SEVERAL, or a group of commands.

    Raises ValueError when there are no such options.
    """
    if what == SEVERAL:
        return _table("option | meaning", _rows_of_several())
    command, _, group = what.partition(" / ")
    if command == OVERVIEW:
        entries = GROUPS[group].items()
        rows = [
            f"| [`bcclone {name}`](#{_anchor(name)}) | {entry.summary} |" for name, entry in entries
        ]
        return _table("command | what it does", rows)
    groups = parser_of(command)._action_groups
    chosen = [one for one in groups if (one.title == group if group else one.title not in SHARED)]
    rows = {_row(action): action for one in chosen for action in _documented(one)}
    if not rows:
        raise ValueError(
            f"{what}: no options; the groups are {', '.join(str(one.title) for one in groups)}"
        )
    elsewhere = [
        f"`{name}`"
        for row in rows
        if row in _rows_of_several()
        for name in rows[row].option_strings
    ]
    own = [row for row in rows if row not in _rows_of_several()] + list(_rare_rows(command, group))
    if elsewhere:
        own.append(
            f"| {', '.join(elsewhere)} | as in [several commands](#options-of-several-commands) |"
        )
    return _table("option | meaning", own)


def _rare_rows(command: str, group: str) -> Iterator[str]:
    """Yield a row for each setting of a command, or of a group of them, that only --set sets."""
    for kind, each, declared, default in load_command(command).declared():
        if declared.rare and (declared.group == group if group else declared.group not in SHARED):
            unit = (
                " or ".join(declared.choices)
                or declared.unit
                or {int: "N", bool: "true"}.get(type_of(each), "X")
            )
            meaning = help_of(declared, default).replace("%%", "%").replace("|", "\\|")
            yield f"| `{option_of(kind, each.name)}={unit}` | {meaning} |"


def _anchor(command: str) -> str:
    is_script = (PAGE.parents[2] / f"{command}.py").exists()
    return f"{command}py" if is_script else f"bcclone-{command.replace(' ', '-')}"


def _table(head: str, rows: Iterable[str]) -> str:
    return "\n".join([f"| {head} |", "|---|---|", *rows, ""])


def _documented(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    return [action for action in group._group_actions if action.dest not in EVERYWHERE]


@cache
def _rows_of_several() -> dict[str, int]:
    """Return the rows that are the same in two or more commands, and in how many."""
    groups = (
        group
        for parser in map(parser_of, COMMANDS)
        for group in parser._action_groups
        if group.title not in SHARED
    )
    counted = Counter(
        _row(action) for group in groups for action in _documented(group) if action.option_strings
    )
    return {row: number for row, number in counted.items() if number >= 2}


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    return make_parser(load_command(name), f"bcclone {name}")


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else _value(action)
    names = list(action.option_strings)
    if not names:
        shown = f"`{value}`"
    else:
        names[-1] = f"{names[-1]} {value}" if value else names[-1]
        shown = ", ".join(f"`{name}`" for name in names)
    meaning = (
        (action.help or "")
        .replace("%%", "%")
        .replace("|", "\\|")
        .replace("listed above", "linked above")
    )
    return f"| {shown} | {meaning} |"


def _value(action: argparse.Action) -> str:
    if action.choices and not action.metavar:
        return " or ".join(map(str, action.choices))
    name = action.metavar or action.dest.upper()
    shown = name if isinstance(name, str) else " ".join(name)
    return f"{shown}..." if action.nargs in ("+", "*") else shown


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
