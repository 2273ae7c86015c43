"""The tests mirror the package: those of a room are where its name says."""

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
