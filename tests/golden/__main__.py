"""Write the expected results anew: python -m tests.golden [what pytest takes]."""

import os
import sys

import pytest

from tests.golden.expected import FOLDER, WRITE

if __name__ == "__main__":
    os.environ[WRITE] = "1"
    chosen = sys.argv[1:] or [str(FOLDER.parent), "-m", "slow or not slow"]
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *chosen]))
