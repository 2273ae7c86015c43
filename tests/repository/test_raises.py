"""The list of the raise statements that no test executes."""

from tests.repository.raises import never_raised

CODE = """
def f(x):
    if x:
        raise ValueError(
            f"{x}: no"
        )
    try:
        g()
    except OSError:
        raise
    raise KeyError("covered")
"""


def test_a_raise_that_never_ran_is_listed_with_its_file_and_line(tmp_path):
    file = tmp_path / "code.py"
    file.write_text(CODE)
    (line,) = never_raised({str(file): {"missing_lines": [4, 5, 10]}})
    assert line.startswith(f"{file}:4: raise ValueError(")
