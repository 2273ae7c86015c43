"""The parsers -> the tables of options in docs/reference/cli.md; what is around them there is written by hand.

    python docs/cli_tables.py            # write them anew

A table stands between `<!-- options: COMMAND -->` and `<!-- end -->`; `COMMAND / GROUP` is one group of its options,
which the table of the command then leaves out.
"""

import argparse
import re
from pathlib import Path

from bcclone.cli import make_parser
from bcclone.commands import load_command

PAGE = Path(__file__).parent / "reference" / "cli.md"
EVERYWHERE = {"help", "json", "quiet", "debug"}
APART = {"how the world looks", "what makes driving harder"}
_TABLE = re.compile(r"<!-- options: (?P<what>[^>]+?) -->\n(?:.*?\n)??<!-- end -->\n", re.DOTALL)


def with_tables(page: str) -> str:
    """Return the page with every table written anew."""
    return _TABLE.sub(lambda found: f"<!-- options: {found['what']} -->\n{table_of(found['what'])}<!-- end -->\n", page)


def table_of(what: str) -> str:
    """Return the table of a command, of one of its uses, or of one group of its options."""
    command, _, group = what.partition(" / ")
    parser = parser_of(*command.split())
    rows = ["", "| option | meaning |", "|---|---|"]
    for one in parser._action_groups:
        if one.title == group if group else one.title not in APART:
            rows += [_row(action) for action in one._group_actions if action.dest not in EVERYWHERE]
    return "\n".join(rows) + "\n\n"


def parser_of(name: str, use: str = "") -> argparse.ArgumentParser:
    """Return the parser of a command, or of one of its uses."""
    parser = make_parser(load_command(name), f"bcclone {name}")
    if not use:
        return parser
    (uses,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    found: argparse.ArgumentParser = uses.choices[use]
    return found


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else _value(action)
    names = list(action.option_strings)
    if not names:
        shown = f"`{value}`"
    else:
        names[-1] = f"{names[-1]} {value}" if value else names[-1]
        shown = ", ".join(f"`{name}`" for name in names)
    meaning = (action.help or "").replace("%%", "%").replace("|", "\\|")
    return f"| {shown} | {meaning} |"


def _value(action: argparse.Action) -> str:
    if action.choices and not action.metavar:
        return " or ".join(map(str, action.choices))
    name = action.metavar or action.dest.upper()
    shown = name if isinstance(name, str) else " ".join(name)
    return f"{shown}..." if action.nargs in ("+", "*") else shown


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
