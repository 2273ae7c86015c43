"""What is no log of the simulator is refused, with the reason and the remedy."""

import pytest

from bcclone.recording.log import ForeignLog, read_log
from bcclone.system.errors import UserError
from tests.recording.written_logs import HEADER, log_lines, write

FOREIGN = {
    "empty": ("", "empty"),
    "white space": (" \n\n", "empty"),
    "git-LFS pointer": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "git lfs pull",
    ),
    "header alone": (HEADER + "\n", "no rows"),
    "another schema": (
        "nombre_imagen,steering,comando\nIMG/20260629_154138_000000.png,0.0,0\n",
        "steering",
    ),
    "no times in the names": ("a.jpg,b.jpg,c.jpg,0,0,0,1\n", "time stamp"),
    "other order of columns": (
        "center,left,right,steering,speed,throttle,brake\n" + log_lines()[0],
        "speed",
    ),
    "binary": ("\1\2\3\n\4", "no image path"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_the_error_for_a_foreign_file_has_its_name_and_the_reason(tmp_path, kind):
    text, reason = FOREIGN[kind]
    path = tmp_path / "driving_log.csv"
    path.write_text(text)
    with pytest.raises(ForeignLog, match="driving_log.csv") as refusal:
        read_log(path)
    assert reason in str(refusal.value)
    is_without_rows = kind in ("empty", "white space", "header alone")
    code = 1 if is_without_rows else 2
    assert refusal.value.exit_code == code


def test_a_log_in_another_unit_is_refused_as_such_and_a_few_rows_in_one_are_bad(tmp_path):
    in_degrees = [
        line.replace(",1,0.3", f",{sign * 22.5},0.3")
        for sign in (1, -1)
        for line in log_lines()[2:]
    ]
    words = "the steering of 8 of 11 rows is beyond -1 to 1, the greatest is 22.5,.* --unit UNIT$"
    with pytest.raises(ForeignLog, match=words):
        read_log(write(tmp_path, [HEADER, *log_lines(), *in_degrees * 4]))
    assert len(read_log(write(tmp_path, [HEADER, *log_lines(), *in_degrees * 2])).bad_rows) == 4


IMPORT = "bcclone import LOG -o recordings/NAME --steering-column COLUMN --unit UNIT"


@pytest.mark.parametrize(
    ("lines", "place", "reason", "remedy"),
    [
        (["", " a,b,c,0.5 "] * 2, "line 2", "center camera", IMPORT),
        (["", "image,steering_rad", "x.png,0.1"], "line 3", "center camera", IMPORT),
        (
            [log_lines(folder="")[0].replace(",0,1,0,", ",abc,1,0,")],
            "line 1",
            "'abc', expected a number",
            IMPORT,
        ),
    ],
)
def test_a_foreign_table_names_its_first_bad_line_and_the_command_that_imports_it(
    tmp_path, lines, place, reason, remedy
):
    path = write(tmp_path, lines)
    with pytest.raises(ForeignLog) as refusal:
        read_log(path)
    message = str(refusal.value).replace(str(path), "LOG")
    for words in ("LOG: ", place, reason, remedy):
        assert words in message


def test_a_log_without_a_usable_row_is_refused_with_its_first_bad_row_or_its_size(tmp_path):
    first, second, third = log_lines()
    lines = [
        first.replace(",0,1,0,30.19016", ",5,1,0,30"),
        second.rsplit(",", 2)[0],
        third.replace(",1,", ",7,", 1),
    ]
    with pytest.raises(ForeignLog, match="first bad one is line 1: steering is 5"):
        read_log(write(tmp_path, lines))
    with pytest.raises(UserError, match=r"10000004 lines.*10000000.*divide"):
        read_log(write(tmp_path, [*log_lines(), "\n" * 10_000_000]))
