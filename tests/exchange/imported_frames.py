"""Folders of frames with a table, imported into a recording beside them."""

from tests.exchange import foreign_sources

NAMES = ["frame_0001.png", "frame_0002.png", "frame_0003.png"]


def imported(source, **settings):
    return foreign_sources.imported(source, source.parent / "new" / "out", **settings)


def rows_of(result):
    return foreign_sources.rows_of(result.output)
