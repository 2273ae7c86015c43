"""A settings file with any value of another type, and a damaged one, is read or refused with its name."""

import contextlib
from itertools import islice, product
from random import Random

import pytest

from bcclone.system.errors import UserError
from bcclone.system.settings_file import read_settings_file
from bcclone.train.run_folder import settings_as_text
from bcclone.train.train_settings import TrainSettings
from tests.hostile import damaged

VALUES = (
    "1", "-1", "1.5", "'x'", "true", "[]", "[1]", "['a']", "[[]]", "{}", "{a = 1}", "1979-05-27", "07:32:00", "nan",
    "inf", "0x" + "f" * 300, "9" * 30, "9" * 5000, "1e400", '"\\u0000"', '""', "1979-05-27T07:32:00Z", "[" * 5000,
)  # fmt: skip


def test_each_setting_with_a_value_of_each_type(tmp_path):
    path = tmp_path / "settings.toml"
    lines = settings_as_text(TrainSettings()).splitlines()
    keys = [line.partition("=")[0].strip("# ") for line in lines if "=" in line]
    for key, value in islice(product(keys, VALUES), 0, None, 5):
        path.write_text(f"{key} = {value}\n")
        try:
            read_settings_file(path, TrainSettings)
        except UserError as error:
            named = str(error)
            assert str(path) in named  # noqa: PT017 most values fit some of the settings


def test_damaged_settings(tmp_path):
    path, valid, random = tmp_path / "settings.toml", settings_as_text(TrainSettings()).encode(), Random(0)
    for _ in range(200):
        path.write_bytes(damaged(valid, random))
        with contextlib.suppress(UserError):
            read_settings_file(path, TrainSettings)


@pytest.mark.parametrize(
    "line", ['output = "a\\u0000.h5"', 'runs = "\\u0000"', 'name = "a\\U00000000"', 'from = "\\u0000"']
)
def test_a_nul_in_a_name_is_refused(tmp_path, line):
    path = tmp_path / "settings.toml"
    path.write_text(line)
    with pytest.raises(UserError, match=r"settings\.toml: .*(NUL|expected the name of a file)"):
        read_settings_file(path, TrainSettings)
