"""The Containerfile, as far as it can be checked unbuilt: what it copies exists, what it starts is
accepted.
"""

import json
import re

from bcclone.commands import load_command
from bcclone.commands.command import make_parser
from tests.running import ROOT

FILE = (ROOT / "Containerfile").read_text()


def instruction(name):
    return re.findall(rf"^{name} (.+)$", FILE, re.MULTILINE)


def test_the_container_serves_the_shipped_model_as_an_unprivileged_user():
    for line in instruction("COPY"):
        *sources, target = line.split()
        assert target.startswith("/opt/bcclone/")
        assert all((ROOT / source).exists() for source in sources)
    (entry,), (command,) = (map(json.loads, instruction(name)) for name in ("ENTRYPOINT", "CMD"))
    assert (entry, command[0]) == (["bcclone"], "drive")
    arguments = make_parser(load_command("drive"), "drive").parse_args(command[1:])
    assert (ROOT / arguments.model.relative_to("/opt/bcclone")).exists()
    assert arguments.host is None
    assert instruction("USER") == ["driver"]
    assert FILE.index("USER driver") < FILE.index("ENTRYPOINT")
