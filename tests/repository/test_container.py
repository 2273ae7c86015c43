"""The Containerfile, as far as it can be checked unbuilt: what it copies exists, what it starts is accepted."""

import json
import re

from bcclone.cli import make_parser
from bcclone.commands import drive
from tests.conftest import ROOT

FILE = (ROOT / "Containerfile").read_text()


def instruction(name):
    return re.findall(rf"^{name} (.+)$", FILE, re.MULTILINE)


def test_what_it_copies_is_there():
    for line in instruction("COPY"):
        *sources, target = line.split()
        assert target.startswith("/opt/bcclone/")
        assert all((ROOT / source).exists() for source in sources)


def test_what_it_starts_is_a_drive_server_with_the_model_that_comes_along():
    (entry,), (command,) = (map(json.loads, instruction(name)) for name in ("ENTRYPOINT", "CMD"))
    assert entry == ["bcclone", "drive"]
    arguments = make_parser(drive, "drive").parse_args(command)
    assert (ROOT / arguments.model.relative_to("/opt/bcclone")).exists()
    assert arguments.host is None


def test_it_runs_without_rights():
    assert instruction("USER") == ["driver"]
    assert FILE.index("USER driver") < FILE.index("ENTRYPOINT")
