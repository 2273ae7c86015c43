"""The remedies that were taken since a recording was judged -> which of them can be taken now.

A judgement is of the edits of one moment. Each remedy makes other edits, and the next judgement
takes a while; until then, the remedies of the other faults can be taken, too.
"""

from collections.abc import Sequence


class TakenRemedies:
    """The faults of a judgement whose remedies were taken, in this order.

    In all methods, `judged` is the version of the edits that were judged, and `version` that of the
    edits as they are.
    """

    def __init__(self) -> None:
        self._faults: list[str] = []
        self._judged = ""  # the version of the edits whose faults these are
        self._version = ""  # the version of the edits after the last remedy

    def of(self, judged: str, version: str) -> Sequence[str]:
        """Return the faults whose remedies make up all edits since the judgement."""
        return self._faults if self._are_all(judged, version) else ()

    def allow(self, fault: str, judged: str, version: str) -> bool:
        """Return whether the remedy of a fault can be taken.

        It can if nothing but remedies of other faults of the same judgement was taken since.
        """
        if version == judged:
            return True
        return self._are_all(judged, version) and fault not in self._faults

    def take(self, fault: str, judged: str, before: str, version: str) -> None:
        """Note that the remedy of a fault was taken.

        before: the version of the edits before it
        """
        if judged == before:
            self._faults = []
        self._faults.append(fault)
        self._judged = judged
        self._version = version

    def take_back(self, judged: str, before: str, version: str) -> None:
        """Note that the edit before `version` was undone; it may be that of the last remedy.

        before: the version of the edits before it was undone
        """
        if self._faults and self._are_all(judged, before):
            self._faults.pop()
            self._version = version

    def _are_all(self, judged: str, version: str) -> bool:
        return (judged, version) == (self._judged, self._version)
