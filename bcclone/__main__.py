"""Begin a command, for `bcclone`, `python -m bcclone` and the four scripts."""

import sys


def main(script: str = "") -> int:
    """Run a script's command, or the one that the command line names; return the exit code."""
    # before anything large is loaded: an interrupt ends the process with a word, at any moment
    from bcclone.system.interrupts import end_on_interrupts

    end_on_interrupts()
    from bcclone.cli import main as run

    return run(script)


if __name__ == "__main__":
    sys.exit(main())
