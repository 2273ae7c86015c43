"""What a source states, and what it does not -> one refusal that asks for all of it.

A reader of a source tells its `Inquiry` what it has read and from where, and what is missing, each
with the setting that states it. Before the first row it calls check(), which raises one NotStated:
its text has all of that in words, with one command to paste, and its `facts` have the same for
--json. They are worded in questions.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.questions import (
    MOST_LISTED,
    SIDE,
    Missing,
    Reading,
    question_of,
    reading_in_words,
)
from bcclone.system.errors import UserError, shown_command
from bcclone.system.settings import option_words, settings_of


class NotStated(UserError):
    """A source that does not state all that an import needs.

    facts: `read`, a list of Readings; `missing`, a list of what to state, each with its `option`,
        whether it is `optional`, its `question` and `facts`; and `command`, with blanks in capitals
    """

    def __init__(self, message: str, facts: Mapping[str, Any]) -> None:
        super().__init__(message, exit_code=2)
        self.facts = facts


class Inquiry:
    """Gathers what is read of a source, and what it does not state."""

    def __init__(self, settings: ImportSettings) -> None:
        self.settings = settings
        self.read: list[Reading] = []
        self.missing: list[Missing] = []

    def note(self, what: str, source: str, **facts: Any) -> None:
        """Take down what was read."""
        self.read.append(Reading(what, source, facts))

    def ask(self, missing: Iterable[Missing]) -> None:
        """Take down what is missing; of several questions for one option, the first counts that has
        to be answered.
        """
        for one in missing:
            asked = [other for other in self.missing if other.setting == one.setting != ""]
            if asked and asked[0].is_optional and not one.is_optional:
                self.missing[self.missing.index(asked[0])] = one
            elif not asked:
                self.missing.append(one)

    def check(self) -> None:
        """Raise NotStated if anything is missing that may not be left out."""
        if not all(one.is_optional for one in self.missing):
            raise self.refusal()

    def refusal(self) -> NotStated:
        return NotStated(self._as_text(), self.as_json())

    @property
    def command(self) -> str:
        """Return the command that states all of it, with blanks in capitals."""
        asked = {one.setting: one.blank for one in self.missing if one.blank}
        # rows are counted instead of the times that were named
        counted = ("time_column", "time_form") if "frame_rate" in asked else ()
        withdrawn = [name for one in self.missing for name in one.withdrawn]
        source = asked.pop("source", self.settings.source)
        flags = _flags()
        given = replace(
            self.settings,
            **{
                name: getattr(ImportSettings, name)
                for name in (*asked, *counted, *withdrawn)
                if name in flags
            },
        )
        words = [
            word
            for name, blank in asked.items()
            for word in ((blank,) if blank == SIDE else (flags[name], blank))
        ]
        return shown_command("import", source, *option_words(given), *words)

    def as_json(self) -> dict[str, Any]:
        flags = _flags()
        return {
            "read": [{"what": one.what, "source": one.source, **one.facts} for one in self.read],
            "missing": [
                {
                    "kind": one.kind,
                    "option": flags.get(one.setting),
                    "optional": one.is_optional,
                    "question": question_of(one),
                    "facts": dict(one.facts),
                }
                for one in self.missing
            ],
            "command": self.command,
        }

    def _as_text(self) -> str:
        flags = _flags()
        lines = [f"{self.settings.source}: it does not state all that an import needs"]
        if self.read:
            lines.append("read:")
            lines += [f"  {reading_in_words(one)}" for one in self.read]
        for title, is_optional in (("missing:", False), ("may be left out:", True)):
            chosen = [one for one in self.missing if one.is_optional == is_optional]
            lines += [title] if chosen else []
            for one in chosen:
                option = flags.get(one.setting) or one.blank or "in the source"
                lines.append(f"  {option}: {question_of(one)}")
        blanks = [one.blank for one in self.missing if one.blank]
        then = "then"
        if blanks:
            then = f"fill in {', '.join(blanks)}, and run"
        if any(not one.setting for one in self.missing):
            then = f"change the source; {then}"
        return "\n".join([*lines, f"{then}: {self.command}"])


def choose_table(
    settings: ImportSettings, paths: Sequence[Path], look: Callable[[ImportSettings], Inquiry]
) -> NotStated:
    """Return the refusal of a source with several tables, of which one has to be named.

    look: reads the first rows of a source with one table, and returns what is missing
    """
    choices: list[dict[str, Any]] = []
    for path in paths[:MOST_LISTED]:
        try:
            found = look(replace(settings, table=path))
        except UserError as error:
            choices.append({"table": str(path), "reason": str(error)})
            continue
        changes = [one for one in found.missing if not one.setting]
        choice = {"table": str(path), **found.as_json()}
        if changes:
            choice["reason"] = "; ".join(map(question_of, changes))
        choices.append(choice)
    inquiry = Inquiry(settings)
    question = Missing("table", "table", "TABLE", {"tables": choices})
    if all("reason" in choice for choice in choices):
        inquiry.ask([Missing("no such table", facts={"tables": choices})])
        question = Missing("new table", "table", "TABLE")
    inquiry.ask([question])
    return inquiry.refusal()


def import_of(settings: ImportSettings, source: Path, of_several: bool = False) -> str:
    """Return the command that imports another source, with all options that were given.

    of_several: whether it is one of several, whose recordings then lie beside each other
    """
    output = settings.output
    if of_several:
        beside = output if output != ImportSettings.output else Path("recordings")
        output = beside / source.stem
    words = option_words(replace(settings, output=output))
    return shown_command("import", source, *words)


def _flags() -> dict[str, str]:
    """Return name of a setting -> its option."""
    return {each.name: each.flag for each in settings_of(ImportSettings) if not each.positional}
