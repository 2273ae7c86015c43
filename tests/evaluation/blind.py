"""A policy that sees nothing, which must not score well."""

import itertools

from bcclone.dataset.answer import Answer


class Blind:
    """A policy that repeats its steerings whatever the frame, and counts how often it forgets
    frames.
    """

    def __init__(self, *steering):
        self.steering = itertools.cycle(steering)
        self.forgotten = 0

    def answer(self, frame):
        return Answer(next(self.steering))

    def forget(self):
        self.forgotten += 1
