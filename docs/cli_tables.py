"""Write the tables of options in docs/reference/cli.md from the parsers; the text around them is written by hand.

    python docs/cli_tables.py            # update the page

A table is between `<!-- options: COMMAND -->` and `<!-- end -->`. `COMMAND / GROUP` is the table of one group of
options; the groups in SHARED have tables of their own, so the tables of the commands leave them out. Options that are
the same in two or more commands stand in the table `several commands`; the tables of the commands only name them.
`commands` is the table of all commands.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bcclone.commands import COMMANDS, load_command
from bcclone.commands.options import help_of, make_parser, rare_settings
from bcclone.system.settings import option_of, type_of

PAGE = Path(__file__).parent / "reference" / "cli.md"
EVERYWHERE = {"help", "json", "quiet", "debug", "assigned"}
SHARED = {"appearance of the world", "disturbances"}
SEVERAL = "several commands"
OVERVIEW = "commands"
_TABLE = re.compile(r"<!-- options: (?P<what>[^>]+?) -->\n(?:.*?\n)??<!-- end -->\n", re.DOTALL)


def with_tables(page: str) -> str:
    """Return the page with every table updated."""
    return _TABLE.sub(lambda found: f"<!-- options: {found['what']} -->\n{table_of(found['what'])}<!-- end -->\n", page)


def table_of(what: str) -> str:
    """Return the table of a command, a group of options, SEVERAL or OVERVIEW.

    Raises ValueError when there are no such options.
    """
    if what == OVERVIEW:
        return _overview()
    if what == SEVERAL:
        return _table(list(_rows_of_several()))
    command, _, group = what.partition(" / ")
    groups = parser_of(command)._action_groups
    chosen = [one for one in groups if (one.title == group if group else one.title not in SHARED)]
    rows = {_row(action): action for one in chosen for action in _documented(one)}
    if not rows:
        raise ValueError(f"{what}: no options; the groups are {', '.join(str(one.title) for one in groups)}")
    elsewhere = [f"`{name}`" for row in rows if row in _rows_of_several() for name in rows[row].option_strings]
    own = [row for row in rows if row not in _rows_of_several()]
    if elsewhere:
        own.append(f"| {', '.join(elsewhere)} | as in [several commands](#options-of-several-commands) |")
    return _table(own) + _rare_table(command, group)


def _rare_table(command: str, group: str) -> str:
    """Return the table of the settings of a command, or of a group of them, that only --set sets; "" for none."""
    rows = []
    for kind, each, declared, default in rare_settings(load_command(command).COMMAND):
        if declared.group == group if group else declared.group not in SHARED:
            unit = " or ".join(declared.choices) or declared.unit or {int: "N", bool: "true"}.get(type_of(each), "X")
            meaning = help_of(declared, default).replace("%%", "%").replace("|", "\\|")
            rows.append(f"| `{option_of(kind, each.name).removeprefix('--set ')}={unit}` | {meaning} |")
    return "\n".join(["| with `--set` | meaning |", "|---|---|", *rows]) + "\n\n" if rows else ""


def _overview() -> str:
    """Return the table of all commands, with links to their sections."""
    rows = [f"| [`bcclone {name}`](#{_anchor(name)}) | {summary} |" for name, summary in COMMANDS.items()]
    return "\n".join(["", "| command | what it does |", "|---|---|", *rows]) + "\n\n"


def _anchor(command: str) -> str:
    is_script = (PAGE.parents[2] / f"{command}.py").exists()
    return f"{command}py" if is_script else f"bcclone-{command.replace(' ', '-')}"


def _table(rows: list[str]) -> str:
    return "\n".join(["", "| option | meaning |", "|---|---|", *rows]) + "\n\n"


def _documented(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    return [action for action in group._group_actions if action.dest not in EVERYWHERE]


@cache
def _rows_of_several() -> dict[str, int]:
    """Return the rows that are the same in three or more commands, and in how many."""
    groups = (group for parser in _parsers() for group in parser._action_groups if group.title not in SHARED)
    counted = Counter(_row(action) for group in groups for action in _documented(group) if action.option_strings)
    return {row: number for row, number in counted.items() if number >= 2}


def _parsers() -> Iterator[argparse.ArgumentParser]:
    """Yield the parser of each command."""
    return map(parser_of, COMMANDS)


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
    meaning = (action.help or "").replace("%%", "%").replace("|", "\\|").replace("listed above", "linked above")
    return f"| {shown} | {meaning} |"


def _value(action: argparse.Action) -> str:
    if action.choices and not action.metavar:
        return " or ".join(map(str, action.choices))
    name = action.metavar or action.dest.upper()
    shown = name if isinstance(name, str) else " ".join(name)
    return f"{shown}..." if action.nargs in ("+", "*") else shown


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
