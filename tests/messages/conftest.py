"""Each mistake is made in an empty folder."""

import pytest

from tests.messages.refusals import assert_refused


@pytest.fixture
def check_refusal(request, tmp_path, monkeypatch):
    """Return a function that makes a mistake and checks its refusal."""
    monkeypatch.chdir(tmp_path)
    return lambda mistake: assert_refused(mistake, request.getfixturevalue)
