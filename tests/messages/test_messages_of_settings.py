"""commands: settings that are out of range, or do not go together.

tests/system/test_every_setting.py tests the range of each setting. Here are a few examples, and
rules of other kinds.
"""

import pytest

from bcclone.commands import split_line
from tests.messages.refusals import refusal, run_command


def command(line, *words):
    """Return the refusal of a command line."""
    name, options = split_line(line.split())
    return refusal(lambda: run_command(name, *options), *words)


REFUSALS = [
    command("preprocess rec --correction 3", "--correction 3", "0 to 1", "auto"),
    command("model --epochs 0", "--epochs 0", "--time"),
    command("model -o model.txt", "--output model.txt", ".h5"),
    command("evaluate m.h5 --speed 40", "--speed 40", "up to 30"),
    command("simulate record rec --lookahead 9", "--lookahead 9", "0 to 3"),
    command("drive --allow-from home", "--allow-from home", "172.17.0.1"),
    command("video run --range 40:10", "--range 40:10", "A:B"),
    command("video run --fps 60 -o clip.gif", "--fps 60", "1 to 50", ".gif"),
    command("video run --side-by-side run2 --fps 20", "--fps", "real:N"),
    command("video run -o x.webm", "--output x.webm", ".mp4"),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_wrong_setting_is_refused_with_its_option_and_range(mistake, check_refusal):
    check_refusal(mistake)
