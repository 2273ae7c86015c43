"""The programs that bcclone or its tests start -> checks."""

import shutil
from collections.abc import Iterator

from bcclone.doctor import Check
from bcclone.doctor.look import output_of

_FFMPEG_SECONDS = 1.0
# name, what it may be called, the package of Debian and Ubuntu
_TEST_TOOLS = (
    ("chromium", ("chromium", "chromium-browser", "google-chrome"), "chromium"),
    ("chromedriver", ("chromedriver",), "chromium-driver"),
    ("node", ("node",), "nodejs"),
    ("npm", ("npm",), "npm"),
)


def check_ffmpeg() -> Check:
    """Start the ffmpeg that moviepy will use: the one imageio-ffmpeg finds."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        program = get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        advice = 'python -m pip install --force-reinstall "imageio-ffmpeg"'
        return Check("ffmpeg", "failed", "imageio-ffmpeg finds none", advice)
    if said := output_of([program, "-version"], _FFMPEG_SECONDS):
        return Check("ffmpeg", "ok", f"{said.split()[2]} ({program})")
    advice = "unset the environment variable IMAGEIO_FFMPEG_EXE, or let it name an ffmpeg that runs"
    return Check("ffmpeg", "failed", f"{program} does not run", advice)


def check_test_tools() -> Iterator[Check]:
    """Yield a check for each program that only the tests start."""
    for name, programs, package in _TEST_TOOLS:
        place = next(filter(None, map(shutil.which, programs)), None)
        if place:
            yield Check(name, "ok", f"{place} (only needed for tests)")
        else:
            advice = f"for the tests, on Debian and Ubuntu: apt-get install {package}"
            yield Check(name, "warning", "not on the PATH (only needed for tests)", advice)
