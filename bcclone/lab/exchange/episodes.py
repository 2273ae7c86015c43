"""Group rows by episode, for the formats that store one episode after the other."""

import itertools
from collections.abc import Iterable, Iterator

from bcclone.lab.exchange.rows import ExchangedRow


def episodes_of(rows: Iterable[ExchangedRow]) -> Iterator[tuple[int, Iterator[ExchangedRow]]]:
    """Yield the number of each episode, from 0 without a gap, and its rows, which are read once."""
    for number, (_, group) in enumerate(itertools.groupby(rows, key=lambda row: row.episode)):
        yield number, group
