"""Errors that the user can fix: what happened, where, what was expected and what to do."""


class UserError(Exception):
    """An error that the user can fix; a command shows its text without a traceback.

    exit_code: the exit code of the command: 1 in general, 2 for an input of a kind that cannot be read.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
