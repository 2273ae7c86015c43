"""Read fields at a point of the world: a field and a point -> an interpolated value; compiled.

A field has a value for each cell of the scene's grid, which holds at the cell's centre. A point is
x to the east and z to the north, in metres.
"""

from typing import Any, NamedTuple

from bcclone.simulator.render.surface import drawing
from bcclone.simulator.scene.roadmap import CELL_M

_CELLS_A_METRE = 1 / CELL_M


class Cell(NamedTuple):
    """A point between four cells' centres: the lower left cell, and the way from there."""

    column: int
    row: int
    right: float  # part of the way to the next column, 0 to 1
    up: float  # part of the way to the next row, 0 to 1


@drawing()
def _cell(column: float, row: float, side: int) -> Cell:
    """Return the cell at a position.

    column, row: with fractions; clipped so that the next column and row exist, too
    side: cells along a side of the field
    """
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
    """Return the bilinear interpolation of a field between four cells."""
    left = cell.column
    low = cell.row
    lower = field[low, left] * (1 - cell.right) + field[low, left + 1] * cell.right
    upper = field[low + 1, left] * (1 - cell.right) + field[low + 1, left + 1] * cell.right
    return lower * (1 - cell.up) + upper * cell.up
