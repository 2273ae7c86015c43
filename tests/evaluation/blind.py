"""A policy that sees nothing, which must not score well."""

from bcclone.dataset.answer import Answer


class Blind:
    """A policy that steers the same whatever the frame, and counts how often it forgets frames."""

    def __init__(self, steering):
        self.steering = steering
        self.forgotten = 0

    def answer(self, frame):
        return Answer(self.steering)

    def forget(self):
        self.forgotten += 1
