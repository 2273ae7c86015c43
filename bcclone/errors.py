"""What a user can mend: a message that says what happened, where, what was expected and what to do."""


class UserError(Exception):
    """A fault in what the user gave; shown as one message without a traceback.

    exit_code: what the process ends with: 1 in general, 2 for an input that is not ours to read.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
