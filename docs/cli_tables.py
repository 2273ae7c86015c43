"""Write the tables of options in docs/reference/cli.md from the parsers.

    python docs/cli_tables.py

The text around the tables is written by hand. A table follows `<!-- options: COMMAND -->`. `COMMAND
/ GROUP` is the table of one group of options; the groups in SHARED have tables of their own, so the
tables of the commands leave them out. Options that are the same in two or more commands stand in
the table `several commands`; the tables of the commands only name them. `commands / GROUP` is the
table of a group of commands.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from bcclone.commands import COMMANDS, GROUPS, load_command
from bcclone.commands.parser import make_parser

PAGE = Path(__file__).parent / "reference" / "cli.md"
EVERYWHERE = {"help", "json", "quiet", "debug"}
SHARED = {"appearance of the world", "disturbances"}
SEVERAL = "several commands"
OVERVIEW = "commands"


def main() -> None:
    """Update the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(page), encoding="utf-8")


def with_tables(page: str) -> str:
    """Return the page with every table updated."""

    def updated(table: re.Match[str]) -> str:
        mark, subject = table.groups()
        return mark + table_of(subject)

    return re.sub(r"(<!-- options: (.+) -->\n)(?:\|.*\n)*", updated, page)


def table_of(subject: str) -> str:
    """Return the table of a command, a group of options, SEVERAL, or a group of commands.

    Raises ValueError when there are no such options.
    """
    if subject == SEVERAL:
        return _table("option | meaning", _rows_of_several())
    command, _, group = subject.partition(" / ")
    if command == OVERVIEW:
        return _table_of_commands(group)
    return _table("option | meaning", _rows_of(command, group))


def _table(head: str, rows: Iterable[str]) -> str:
    return "\n".join([f"| {head} |", "|---|---|", *rows, ""])


# ---- commands


def _table_of_commands(group: str) -> str:
    rows = []
    for name, entry in GROUPS[group].items():
        rows.append(f"| [`bcclone {name}`](#{_anchor(name)}) | {entry.summary} |")
    return _table("command | what it does", rows)


def _anchor(command: str) -> str:
    """Return the anchor of a command's section, whose title is its script if there is one."""
    if (PAGE.parents[2] / f"{command}.py").exists():
        return f"{command}py"
    return f"bcclone-{command.replace(' ', '-')}"


# ---- options of one command


def _rows_of(command: str, group: str) -> list[str]:
    """Return the rows of a command, or of one group of its options.

    group: title of the group, "" for all but those in SHARED
    """
    several = _rows_of_several()
    rows = []
    names_elsewhere = []  # of options that are in the table of several commands
    parser_groups = parser_of(command)._action_groups
    for parser_group in parser_groups:
        if not _is_chosen(parser_group.title, group):
            continue
        for action in _documented(parser_group):
            row = _row(action)
            if row in several:
                names_elsewhere += [f"`{name}`" for name in action.option_strings]
            else:
                rows.append(row)
    if not rows and not names_elsewhere:
        titles = ", ".join(str(parser_group.title) for parser_group in parser_groups)
        raise ValueError(f"{command} / {group}: no options; the groups are {titles}")
    if names_elsewhere:
        names = ", ".join(names_elsewhere)
        rows.append(f"| {names} | as in [several commands](#options-of-several-commands) |")
    return rows


def _is_chosen(title: str | None, group: str) -> bool:
    """Return whether a group of options with this title belongs to a table."""
    if group:
        return title == group
    return title not in SHARED


def _documented(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    return [action for action in group._group_actions if action.dest not in EVERYWHERE]


# ---- options of several commands


@cache
def _rows_of_several() -> dict[str, int]:
    """Return the rows that are the same in two or more commands, and in how many."""
    counts: Counter[str] = Counter()
    for command in COMMANDS:
        counts.update(_option_rows(command))
    return {row: count for row, count in counts.items() if count >= 2}


def _option_rows(command: str) -> Iterator[str]:
    """Yield the rows of a command's options, without those in SHARED."""
    for group in parser_of(command)._action_groups:
        if group.title not in SHARED:
            options = [action for action in _documented(group) if action.option_strings]
            yield from map(_row, options)


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    return make_parser(load_command(name), f"bcclone {name}")


# ---- a row


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else _value(action)
    names = list(action.option_strings)
    if not names:
        shown = f"`{value}`"
    else:
        if value:
            names[-1] = f"{names[-1]} {value}"
        shown = ", ".join(f"`{name}`" for name in names)
    meaning = _in_table(action.help or "").replace("listed above", "linked above")
    return f"| {shown} | {meaning} |"


def _value(action: argparse.Action) -> str:
    if action.choices and not action.metavar:
        return " or ".join(map(str, action.choices))
    name = action.metavar or action.dest.upper()
    shown = name if isinstance(name, str) else " ".join(name)
    if action.nargs in ("+", "*"):
        return f"{shown}..."
    return shown


def _in_table(help_text: str) -> str:
    """Return a text of argparse as it stands in a cell of a table."""
    return help_text.replace("%%", "%").replace("|", "\\|")


if __name__ == "__main__":
    main()
