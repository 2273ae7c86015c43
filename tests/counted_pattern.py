"""Count the steps of a regular expression: Python's `re` cannot be counted, so this matches the same tree step by step.

It takes what `re` takes, in the same order: the first match here is the match of `re`, which the tests compare.
"""

import re
from collections.abc import Callable, Iterator
from re import _constants as kinds
from re import _parser as parser

_CATEGORIES: dict[object, Callable[[str], bool]] = {
    kinds.CATEGORY_DIGIT: str.isdecimal,
    kinds.CATEGORY_NOT_DIGIT: lambda char: not char.isdecimal(),
    kinds.CATEGORY_SPACE: str.isspace,
    kinds.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    kinds.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
}


class CountedPattern:
    """A pattern of `re` whose matching counts its steps: an element tried at a position of the text."""

    def __init__(self, pattern: re.Pattern) -> None:
        self.steps = 0
        self._flags = pattern.flags
        self._tree = list(parser.parse(pattern.pattern, 0 if isinstance(pattern.pattern, bytes) else pattern.flags))
        self._groups: dict[int, tuple[int, int] | None] = {}
        self._of_several = {
            kinds.MAX_REPEAT: self._greedy,
            kinds.MIN_REPEAT: self._lazy,
            kinds.POSSESSIVE_REPEAT: self._possessive,
            kinds.SUBPATTERN: self._group,
            kinds.BRANCH: self._either,
            kinds.ASSERT: self._followed,
            kinds.ASSERT_NOT: self._not_followed,
            kinds.GROUPREF: self._same_again,
        }

    def match(self, text: str) -> int | None:
        """Return where the match from the start of text ends, as `pattern.match`."""
        return next(self._ends(text, 0), None)

    def fullmatch(self, text: str) -> int | None:
        """Return the length of text if all of it matches, as `pattern.fullmatch`."""
        return next((end for end in self._ends(text, 0) if end == len(text)), None)

    def search(self, text: str) -> int | None:
        """Return the end of the first match in text, as `pattern.search`."""
        starts = range(len(text) + 1)
        return next((end for start in starts if (end := next(self._ends(text, start), None)) is not None), None)

    def _ends(self, text: str, start: int) -> Iterator[int]:
        self._groups = {}
        return self._sequence(self._tree, 0, text, start, self._flags)

    def _sequence(self, nodes: list, index: int, text: str, at: int, flags: int) -> Iterator[int]:
        if index == len(nodes):
            yield at
            return
        for end in self._node(*nodes[index], text, at, flags):
            yield from self._sequence(nodes, index + 1, text, end, flags)

    def _node(self, kind: object, value: object, text: str, at: int, flags: int) -> Iterator[int]:
        self.steps += 1
        if kind in self._of_several:
            yield from self._of_several[kind](value, text, at, flags)
        elif kind is kinds.AT:
            if self._stands_at(value, text, at, flags):
                yield at
        elif at < len(text) and self._takes(kind, value, text[at], flags):
            yield at + 1

    def _group(self, value: tuple, text: str, at: int, flags: int) -> Iterator[int]:
        group, add, remove, nodes = value
        for end in self._sequence(list(nodes), 0, text, at, (flags | add) & ~remove):
            before = self._groups.get(group)
            self._groups[group] = (at, end)
            yield end
            self._groups[group] = before

    def _same_again(self, group: int, text: str, at: int, flags: int) -> Iterator[int]:
        begin, end = self._groups.get(group) or (0, -1)
        self.steps += max(0, end - begin)
        if end >= begin and text.startswith(text[begin:end], at):
            yield at + end - begin

    def _either(self, value: tuple, text: str, at: int, flags: int) -> Iterator[int]:
        for nodes in value[1]:
            yield from self._sequence(list(nodes), 0, text, at, flags)

    def _followed(self, value: tuple, text: str, at: int, flags: int) -> Iterator[int]:
        if self._is_ahead(value, text, at, flags):
            yield at

    def _not_followed(self, value: tuple, text: str, at: int, flags: int) -> Iterator[int]:
        if not self._is_ahead(value, text, at, flags):
            yield at

    def _is_ahead(self, value: tuple, text: str, at: int, flags: int) -> bool:
        direction, nodes = value
        assert direction == 1, "a look backwards, which is not needed yet"
        return next(self._sequence(list(nodes), 0, text, at, flags), None) is not None

    def _greedy(self, value: tuple, text: str, at: int, flags: int, count: int = 0) -> Iterator[int]:
        least, most, nodes = value
        if count < most:
            for end in self._sequence(list(nodes), 0, text, at, flags):
                if end > at or count < least:
                    yield from self._greedy(value, text, end, flags, count + 1)
        if count >= least:
            yield at

    def _lazy(self, value: tuple, text: str, at: int, flags: int) -> Iterator[int]:
        least, most, nodes = value
        assert len(nodes) == 1, "a lazy group, which is not needed yet"
        for count in range(most + 1):
            if count >= least:
                yield at
            at = next(self._node(*nodes[0], text, at, flags), None)
            if at is None:
                return

    def _possessive(self, value: tuple, text: str, at: int, flags: int) -> Iterator[int]:
        least, most, nodes = value
        count = 0
        while count < most:
            end = next(self._sequence(list(nodes), 0, text, at, flags), None)
            if end is None or (end == at and count >= least):
                break
            at, count = end, count + 1
        if count >= least:
            yield at

    def _stands_at(self, where: object, text: str, at: int, flags: int) -> bool:
        multiline = flags & re.MULTILINE
        if where is kinds.AT_BEGINNING:
            return at == 0 or bool(multiline and text[at - 1] == "\n")
        assert where is kinds.AT_END, where
        return at == len(text) or (text[at] == "\n" and (at == len(text) - 1 or bool(multiline)))

    def _takes(self, kind: object, value: object, char: str, flags: int) -> bool:
        if flags & re.IGNORECASE and char.swapcase() != char:
            plain = flags & ~re.IGNORECASE
            return self._takes(kind, value, char, plain) or self._takes(kind, value, char.swapcase(), plain)
        if kind is kinds.LITERAL:
            return ord(char) == value
        if kind is kinds.NOT_LITERAL:
            return ord(char) != value
        if kind is kinds.ANY:
            return char != "\n" or bool(flags & re.DOTALL)
        if kind is kinds.RANGE:
            return value[0] <= ord(char) <= value[1]
        if kind is kinds.CATEGORY:
            return _CATEGORIES[value](char)
        assert kind is kinds.IN, kind
        negated = value[0][0] is kinds.NEGATE
        return negated != any(self._takes(*one, char, flags) for one in value[negated:])
