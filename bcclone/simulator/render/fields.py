"""Read fields, a value for each cell of the grid, at a point of the world; compiled.

A cell's value is that of its centre. Points are x to the east and z to the north, in metres.
"""

from typing import Any, NamedTuple

from bcclone.simulator.render.surface import drawing
from bcclone.simulator.scene.roadmap import CELL_M

_CELLS_A_METRE = 1 / CELL_M


class Cell(NamedTuple):
    """A position in a field: a cell, and how far it is from there to the next cells, 0 to 1."""

    column: int
    row: int
    right: float  # to the next column
    up: float  # to the next row


@drawing()
def _cell(column: float, row: float, side: int) -> Cell:
    """Return the cell at a position, clipped to a field of so many cells a side."""
    column = min(max(column, 0.0), side - 2.001)
    row = min(max(row, 0.0), side - 2.001)
    left = int(column)
    low = int(row)
    return Cell(left, low, column - left, row - low)


@drawing(inline="always")
def cell_at(surface: Any, x: float, z: float) -> Cell:
    """Return the cell at a point of the world."""
    column = (x - surface.x) * _CELLS_A_METRE - 0.5
    row = (z - surface.z) * _CELLS_A_METRE - 0.5
    return _cell(column, row, surface.heights_m.shape[0])


@drawing(inline="always")
def blend(field: Any, cell: Cell) -> float:
    """Return the bilinear interpolation of a field."""
    left = cell.column
    low = cell.row
    lower = field[low, left] * (1 - cell.right) + field[low, left + 1] * cell.right
    upper = field[low + 1, left] * (1 - cell.right) + field[low + 1, left + 1] * cell.right
    return lower * (1 - cell.up) + upper * cell.up
