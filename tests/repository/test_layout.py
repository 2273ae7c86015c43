"""The tests mirror the package: the folder of a room's tests has its name."""

import ast
from collections import Counter

from tests.conftest import ROOT

PACKAGE, TESTS = ROOT / "bcclone", ROOT / "tests"
ROOMS = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
SINGLE_FILES = {"__init__.py", "__init__.pyi", "__main__.py", "cli.py", "py.typed"}


def test_the_top_level_holds_the_line_the_rooms_beside_it_and_two_wings():
    line = {"recording", "dataset", "feed", "train", "model", "drive", "evaluate"}
    assert {*line, "commands", "simulator", "play", "pictures", "system", "cluster", "lab"} == ROOMS
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == SINGLE_FILES


def test_the_tests_of_a_room_are_in_the_folder_of_its_name():
    folders = {path.name for path in TESTS.iterdir() if path.is_dir()}
    assert folders >= ROOMS


def test_no_constant_of_a_module_is_defined_twice():
    """The later value would count in functions above it, too; this has happened to two modules that were joined."""
    for path in PACKAGE.rglob("*.py"):
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
        targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
        targets += [node.target for node in nodes if isinstance(node, ast.AnnAssign)]
        parts = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
        names = Counter(part.id for part in parts if isinstance(part.ctx, ast.Store))
        assert [name for name, count in names.items() if count > 1] == [], path
