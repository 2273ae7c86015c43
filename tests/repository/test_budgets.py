"""The brake: CONTRIBUTING's tables say how large each room may be, and this test fails above them."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.repository import house

ROW = re.compile(
    r"^\| `(?P<room>[\w/]+)` \| (?P<lines>[\d,]+) \| (?P<tokens>[\d,]+) \| (?P<modules>\d+) \| (?P<why>[^|]*) \|$",
    re.MULTILINE,
)
RULE = re.compile(r"^\| (?P<rule>[^|`]+) \| (?P<most>[\d,]+) \|$", re.MULTILINE)
GUIDE = ROOT / "CONTRIBUTING.md"
RULES = {
    "class names that stand twice": lambda: house.repeated_classes(),
    "file names that stand twice on the line": lambda: house.repeated_files(),
    "modules outside of system that limit foreign bytes": lambda: house.limits_outside_of_system(),
    "modules that only one module of their folder imports": lambda: house.modules_with_one_customer(),
    "private functions used once, of 1,000 functions": lambda: _per_thousand(*house.private_functions()),
    "lines of the pages in docs/": lambda: house.page_lines(),
}


def _per_thousand(part, whole):
    return round(1000 * part / whole)


def _number(text):
    return int(text.replace(",", ""))


def budgets(text):
    """Return {room: (size, why)} of the table in a text of CONTRIBUTING."""
    rows = [match.groupdict() for match in ROW.finditer(text)]
    return {
        row["room"]: (house.Size(*(_number(row[name]) for name in ("lines", "tokens", "modules"))), row["why"].strip())
        for row in rows
    }


def test_every_room_has_a_budget_and_stays_within_it():
    allowed, sizes = budgets(GUIDE.read_text(encoding="utf-8")), house.room_sizes()
    assert sorted(allowed) == sorted(sizes)
    beyond = [
        f"{room}: {size.lines} lines, {size.tokens} tokens, {size.modules} modules; allowed are {allowed[room][0]}"
        for room, size in sizes.items()
        if any(now > most for now, most in zip(size, allowed[room][0], strict=True))
    ]
    assert beyond == [], "take away what your change makes unnecessary; CONTRIBUTING.md says how a budget is raised"


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_the_house_is_broken_no_more_often_than_before(rule):
    allowed = {row["rule"]: _number(row["most"]) for row in RULE.finditer(GUIDE.read_text(encoding="utf-8"))}
    now = RULES[rule]()
    count = now if isinstance(now, int) else len(now)
    assert count <= allowed[rule], f"{now}"


def _versions():
    """Return the texts of CONTRIBUTING at its last commits, newest first, beginning with the working tree."""
    git = ["git", "-C", str(ROOT)]
    line = [*git, "log", "-n", "30", "--format=%H", "--", "CONTRIBUTING.md"]
    commits = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    shown = [[*git, "show", f"{commit}:CONTRIBUTING.md"] for commit in commits]
    return [GUIDE.read_text(encoding="utf-8")] + [
        subprocess.run(line, capture_output=True, text=True, check=True).stdout for line in shown
    ]


def raised_in_silence(older, newer):
    """Return the rooms whose budget grew from one text of CONTRIBUTING to another without a new reason."""
    before, after = budgets(older), budgets(newer)
    return [
        room
        for room in after.keys() & before.keys()
        if any(new > old for new, old in zip(after[room][0], before[room][0], strict=True))
        and after[room][1] in ("", before[room][1])
    ]


@pytest.mark.skipif(not (Path(ROOT) / ".git").exists(), reason="git knows the earlier budgets")
def test_no_budget_was_raised_without_a_reason_in_the_same_commit():
    texts = _versions()
    assert [raised_in_silence(older, newer) for newer, older in zip(texts, texts[1:], strict=False)] == [
        [] for _ in texts[1:]
    ]
