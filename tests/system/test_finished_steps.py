"""Results of finished steps survive a kill, whole or not at all, and are not computed again."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from bcclone.system.finished_steps import FinishedSteps
from tests.processes import wait_for


@dataclass(frozen=True)
class Figures:
    number: int
    values: tuple[float, ...] = ()


RESULT = Figures(1, (0.5, 1.5))


def test_a_step_runs_once_and_its_result_is_read_as_it_was_kept(tmp_path):
    calls = []
    for _ in range(2):  # as by two processes
        steps = FinishedSteps(tmp_path / "new" / "steps", Figures)
        assert steps.run("one", lambda: calls.append(1) or RESULT) == RESULT
    assert len(calls) == 1
    assert steps.find("two") is None


def test_a_damaged_result_counts_as_unfinished(tmp_path):
    steps = FinishedSteps(tmp_path, Figures)
    steps.keep("one", RESULT)
    (path,) = tmp_path.iterdir()
    for text in ("", "[]", "{}", '{"number": "1"}', path.read_text()[:-5], path.read_text().replace("values", "more")):
        path.write_text(text)
        assert steps.find("one") is None


def test_nothing_is_kept_without_a_folder():
    steps = FinishedSteps(None, Figures)
    assert steps.keep("one", RESULT) == RESULT
    assert steps.find("one") is None


# writes steps 0, 1, 2 ... with results of a megabyte, and prints the number of each that it ran
PROGRAM = """
import sys
from pathlib import Path
from bcclone.system.finished_steps import FinishedSteps
from tests.system.test_finished_steps import Figures

steps = FinishedSteps(Path(sys.argv[1]), Figures)
for number in range(int(sys.argv[2])):
    def compute():
        print(number, flush=True)
        return Figures(number, tuple(number + index / 7 for index in range(50_000)))
    steps.run(str(number), compute)
"""


def line(folder, steps):
    return [sys.executable, "-c", PROGRAM, str(folder), str(steps)]


@pytest.mark.parametrize("kept", [1, 3])
def test_a_killed_program_goes_on_with_the_first_step_that_it_had_not_finished(tmp_path, kept):
    process = subprocess.Popen(line(tmp_path, 1000), stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: (tmp_path / f"{kept - 1}.json").exists())
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finished = sorted(int(path.stem) for path in tmp_path.glob("[0-9]*.json"))
    assert finished == list(range(len(finished)))
    assert len(finished) >= kept
    for number in finished:  # each is whole
        assert json.loads((tmp_path / f"{number}.json").read_text())["values"][-1] == number + 49_999 / 7
    again = subprocess.run(line(tmp_path, len(finished) + 2), capture_output=True, text=True, check=True)
    assert again.stdout.split() == [str(len(finished)), str(len(finished) + 1)]
