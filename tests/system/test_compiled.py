"""Functions compiled with Numba, with and without a cache."""

import os
import sys

import pytest

from tests.processes import on_a_full_disk, said

DOUBLED = """
import sys
from bcclone.system.compiled import compiled

@compiled(int(sys.argv[1]), cache=True)
def doubled(number):
    return 2 * number

print(doubled(21), sum(doubled.stats.cache_hits.values()))
"""
TOTAL = """
from bcclone.system.compiled import compiled
from kinds import Pair

@compiled(cache=True)
def total(pair):
    return pair.one + pair.other

print(total(Pair(20, 22)))
"""


@pytest.fixture
def run(tmp_path):
    """Run a program with a cache of its own; return what it prints."""

    def run(code, *arguments, size=None):
        (tmp_path / "program.py").write_text(code)
        line = [sys.executable, tmp_path / "program.py", *arguments]
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        line = line if size is None else on_a_full_disk(line, size)
        done = said(*line, check=True, env=environment)
        assert done.stderr == ""
        return done.stdout.split()

    return run


@pytest.mark.slow
def test_a_function_that_the_disk_has_no_room_for_is_compiled_and_not_cached(run, tmp_path):
    assert [run(DOUBLED, "1", size=size) for size in (100, 1 << 20, 100)] == [
        ["42", "0"],
        ["42", "0"],
        ["42", "1"],
    ]
    assert not list(tmp_path.rglob("*tmp*"))


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.slow
def test_nobody_else_can_write_what_is_cached_whatever_the_umask(run, tmp_path):
    before = os.umask(0)
    try:
        assert run(DOUBLED, "1") == ["42", "0"]
    finally:
        os.umask(before)
    files = list((tmp_path / "cache").rglob("*.nb?"))
    assert files
    assert not [path for path in files if path.stat().st_mode & 0o022]
    assert {path.parent.stat().st_mode & 0o777 for path in files} == {0o700}


@pytest.mark.slow
def test_a_function_is_compiled_anew_when_the_checksum_of_its_sources_has_changed(run):
    assert [run(DOUBLED, checksum) for checksum in "112"] == [["42", "0"], ["42", "1"], ["42", "0"]]


@pytest.mark.slow
def test_what_a_version_with_other_modules_has_cached_is_compiled_anew(run, tmp_path):
    for module in ("earlier", "later"):
        pair = (
            "from typing import NamedTuple\n\n"
            "class Pair(NamedTuple):\n    one: int\n    other: int\n"
        )
        (tmp_path / f"{module}.py").write_text(pair)
        (tmp_path / "kinds.py").write_text(f"from {module} import Pair")
        assert run(TOTAL) == ["42"]
        (tmp_path / f"{module}.py").unlink()
    assert list(tmp_path.rglob("*.nbi"))
