"""Each row of `make past-defects` still names its text and its test; the trials themselves run by hand."""

import ast

import pytest

from tests.conftest import ROOT
from tests.repository.past_defects import DEFECTS, without_fix


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_the_fix_is_once_in_its_file_and_its_test_is_there(defect):
    ast.parse(without_fix(defect))  # raises ValueError unless the text is there once
    assert defect.fix != defect.without
    file, _, name = defect.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8")
