"""The pages of docs/: they build without a warning, and every link within them leads somewhere."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(300)


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    line = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", tmp_path / "pages"]
    done = subprocess.run([*line, "-d", tmp_path / "trees"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        assert (tmp_path / "pages" / page.relative_to(ROOT / "docs").with_suffix(".html")).exists()
