"""Errors that the user can fix: the message says what happened, where, what was expected and what to do."""


class UserError(Exception):
    """A mistake in the user's input, or a problem of the machine; shown as one message without a traceback.

    exit_code: of the process: 1 in general, 2 for a wrong command line or a file that is not a driving log.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
