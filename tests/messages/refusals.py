"""Run a command that may be refused."""

from bcclone.cli import show
from bcclone.commands import load_command
from bcclone.commands.command import Common, parse
from bcclone.system.errors import UserError


def run_command(name, *line):
    """Run a command as bcclone.cli does, but let its UserError out.

    Fail on an error that cli.run() calls a fault.
    """
    command = load_command(name)
    try:
        given = parse(command, ["bcclone", *name.split()], [str(word) for word in line])
        result = command.run(given)
        show(result, given.make(Common))
        return result
    except UserError:
        raise
    except Exception as error:
        raise AssertionError("cli.run() would report an internal error") from error
