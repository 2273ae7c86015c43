"""The tests mirror the package: the folder of a room's tests has its name."""

import ast
from collections import Counter

import pytest

from tests.conftest import ROOT

PACKAGE, TESTS = ROOT / "bcclone", ROOT / "tests"
ROOMS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

TESTED_ELSEWHERE = {
    "arrays": "type aliases",
    "errors": "tests/messages",
}


def test_every_room_has_tests_of_its_name():
    named = {path.stem.removeprefix("test_") for path in TESTS.iterdir()}
    rooms = ROOMS - {"__init__", "__main__"}
    assert rooms - named <= TESTED_ELSEWHERE.keys()


def test_the_tests_of_a_module_in_a_room_are_in_the_folder_of_that_room():
    of_rooms = {path.stem for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE} - ROOMS
    assert of_rooms & {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")} == set()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_constant_of_a_module_is_defined_twice(path):
    """The later value would count in functions above it, too; this has happened to two modules that were joined."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in nodes if isinstance(node, ast.AnnAssign)]
    parts = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    names = Counter(part.id for part in parts if isinstance(part.ctx, ast.Store))
    assert [name for name, count in names.items() if count > 1] == []
