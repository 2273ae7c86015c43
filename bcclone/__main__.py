"""Run a command, for `bcclone SUBCOMMAND`, `python -m bcclone` and the four scripts.

It loads nothing before it handles Ctrl-C, so that no moment of the start shows a traceback.
"""

_INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C has ended
try:
    import os
    import signal
    import sys
    from types import FrameType
except KeyboardInterrupt:
    raise SystemExit(_INTERRUPTED) from None


def main(command: str | None = None, prog: str = "bcclone") -> int:
    """Run a command by its name, or the one that the command line names; return the exit code.

    While a command runs, Ctrl-C lets it clean up; before and afterwards, it ends the process at
    once.
    """
    try:
        signal.signal(signal.SIGINT, _end)
        _open_streams()
        # the processes that it starts import nothing from the current folder
        os.environ.setdefault("PYTHONSAFEPATH", "1")
        from bcclone.system.process import claim_process

        claim_process()
        from bcclone import cli

        return cli.run(command, prog) if command else cli.main()
    except KeyboardInterrupt:  # in the first line, or between the two handlers
        return _INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, _end)


def _open_streams() -> None:
    """Open the standard streams that the caller has closed; otherwise a file would get the number
    of one.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)  # for the processes that it starts
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def _end(number: int, frame: FrameType | None) -> None:
    """End the process, which has nothing to clean up."""
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
