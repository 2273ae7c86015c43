"""Functions compiled with Numba, with and without a cache."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numba import njit

from bcclone.system.compiled import compiled
from tests.processes import on_a_full_disk


def test_a_compiled_function_gives_the_same_result():
    @compiled(fastmath=True)
    def doubled(numbers):
        for index in range(numbers.shape[0]):
            numbers[index] *= 2

    numbers = np.arange(4.0)
    doubled(numbers)
    assert numbers.tolist() == [0.0, 2.0, 4.0, 6.0]


def test_a_function_that_cannot_be_cached_is_compiled_anyway():
    """Numba cannot cache a function that is not in a file."""
    found = {}
    exec("def total(numbers):\n    found = 0\n    for one in numbers:\n        found += one\n    return found", found)
    with pytest.raises(RuntimeError, match="cannot cache"):
        njit(cache=True)(found["total"])
    assert compiled(cache=True)(found["total"])(np.arange(5)) == 10


def test_a_function_that_the_disk_has_no_room_for_is_compiled_and_not_cached(tmp_path):
    program, cache = tmp_path / "program.py", tmp_path / "cache"
    program.write_text(
        "from bcclone.system.compiled import compiled\n\n@compiled(cache=True)\ndef doubled(number):\n"
        "    return 2 * number\n\nprint(doubled(21), sum(doubled.stats.cache_hits.values()))\n"
    )
    shown = []
    for size in (100, 1 << 20, 100):
        line = on_a_full_disk([sys.executable, program], size)
        environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
        done = subprocess.run(line, capture_output=True, text=True, check=True, env=environment)
        shown.append(done.stdout.split())
        assert done.stderr == ""
    assert shown == [["42", "0"], ["42", "0"], ["42", "1"]]
    assert not list(cache.rglob("*tmp*"))


def test_what_a_version_with_other_modules_has_cached_is_compiled_anew(tmp_path):
    program, cache = tmp_path / "program.py", tmp_path / "cache"
    program.write_text(
        "from bcclone.system.compiled import compiled\nfrom kinds import Pair\n\n"
        "@compiled(cache=True)\ndef total(pair):\n    return pair.one + pair.other\n\nprint(total(Pair(20, 22)))\n"
    )
    for module in ("earlier", "later"):
        (tmp_path / f"{module}.py").write_text(
            "from typing import NamedTuple\n\nclass Pair(NamedTuple):\n    one: int\n    other: int\n"
        )
        (tmp_path / "kinds.py").write_text(f"from {module} import Pair")
        done = subprocess.run(
            [sys.executable, str(program)],
            env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("42\n", "")
        (tmp_path / f"{module}.py").unlink()
    assert list(cache.rglob("*.nbi"))


def test_a_function_is_compiled_anew_when_the_checksum_of_its_sources_has_changed(tmp_path):
    (program := tmp_path / "program.py").write_text(
        "import sys\nfrom bcclone.system.compiled import compiled\n\n@compiled(int(sys.argv[1]), cache=True)\n"
        "def doubled(number):\n    return 2 * number\n\nprint(doubled(21), sum(doubled.stats.cache_hits.values()))\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    lines = [[sys.executable, program, str(checksum)] for checksum in (1, 1, 2)]
    shown = [subprocess.run(line, capture_output=True, text=True, check=True, env=environment).stdout for line in lines]
    assert shown == ["42 0\n", "42 1\n", "42 0\n"]
