"""preprocess, store, atomic: what cannot be converted or written, and what is no whole store."""

from pathlib import Path

import h5py
import pytest

from bcclone.dataset.conversion import convert
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.dataset.store import Store
from tests.dataset.test_store import some_frames, write_store
from tests.messages.refusals import refusal, run_command
from tests.messages.small_recording import DRIVEN, make_recording, without_privileges

PLACE = Path("data.h5")


def preprocess(*line):
    return run_command("preprocess", *line)


def of_another_version():
    write_store(PLACE, some_frames(10))
    with h5py.File(PLACE, "r+") as file:
        file.attrs["schema_version"] = 99
    return Store(PLACE)


def unreadable():
    write_store(PLACE, some_frames(10))
    PLACE.chmod(0)
    Path().chmod(0o755)
    with without_privileges():
        Store(PLACE)


def existing():
    PLACE.touch()
    return preprocess("rec")


def add_to_a_mistyped_name():
    write_store(PLACE, some_frames(10))
    return preprocess(make_recording("rec"), "-o", "dtaa.h5", "--add")


def of_a_mistyped_name():
    write_store(PLACE, some_frames(10))
    return Store(Path("dtaa.h5"))


def over_a_recording():
    make_recording("rec")
    return preprocess("rec", "-o", "rec/driving_log.csv", "--force")


def of_no_images():
    return preprocess(make_recording("rec", image=None))


def of_many_bad_rows():
    log = make_recording("rec") / "driving_log.csv"
    log.write_text(log.read_text() + log.read_text().replace(DRIVEN, "25,0,0,12"))
    return preprocess("rec")


REFUSALS = [
    refusal(existing, "data.h5", "--force", "--add", "-o"),
    refusal(
        add_to_a_mistyped_name,
        "dtaa.h5: no such store to add to",
        "did you mean data.h5?",
        "leave out --add",
    ),
    refusal(
        lambda: preprocess(make_recording("rec"), "-o", "laps", "--add"),
        "laps: no such store to add to; leave out --add",
    ),
    refusal(of_a_mistyped_name, "dtaa.h5: no such store; did you mean data.h5?"),
    refusal(over_a_recording, "rec/driving_log.csv", "is no store", "another name"),
    refusal(
        of_no_images,
        "rec/driving_log.csv",
        "3 images",
        "rec/IMG",
        "line 3",
        "image 2026",
        "missing",
    ),
    refusal(
        of_many_bad_rows,
        "3 rows",
        "5%",
        "rec/driving_log.csv, line 4",
        "25",
        "-1 to 1",
        "--allow-skips",
    ),
    refusal(
        lambda: convert(PreprocessSettings(("rec",), "memory://laps")),
        "memory://laps",
        "local path",
        "-o",
    ),
    refusal(
        lambda: Store(PLACE),
        "data.h5",
        "no such store",
        "bcclone preprocess RECORDING... -o data.h5",
    ),
    refusal(unreadable, "data.h5", "permission"),
    refusal(
        of_another_version,
        "data.h5",
        "version 99",
        "expected",
        "bcclone preprocess RECORDING... -o data.h5",
    ),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_what_cannot_be_converted_or_read_is_refused_with_file_and_remedy(mistake, check_refusal):
    check_refusal(mistake)
