"""The table of commands: each name has its command, and a line finds it."""

from bcclone.commands import COMMANDS, GROUPS, load_command
from tests.running import run_process


def test_each_command_is_found_by_the_name_of_its_function():
    for name in COMMANDS:
        function = load_command(name).function.__name__
        assert function.rstrip("_") == name.replace("-", "_").replace(" ", "_")
    assert len(COMMANDS) == sum(map(len, GROUPS.values()))


def test_the_help_lists_each_command_below_the_heading_of_its_group():
    printed = run_process("--help").stdout
    for heading, group in GROUPS.items():
        section = printed.split(f"\n{heading}:\n")[1].split("\n\n")[0]
        assert [line.strip().split("  ")[0] for line in section.splitlines()] == list(group)
        assert all(summary in section for summary in group.values())


def test_the_first_of_two_words_is_refused_with_the_commands_that_begin_so():
    printed = run_process("simulate", code=2).stderr
    assert all(name in printed for name in COMMANDS if name.startswith("simulate "))
