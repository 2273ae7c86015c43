"""Result of a suite -> a table in text: a line a row, a block of columns a model."""

from bcclone.suite.result import Drive, SuiteResult
from bcclone.suite.rows import Row

_CELL = 25
_BEST = "*"


def table_lines(result: SuiteResult) -> list[str]:
    """Return the lines of the table; with several models the best of each row are marked."""
    names = max(len(row.name) for row in result.rows)
    says = max(len(row.says) for row in result.rows)
    widths = {model: max(_CELL, len(model)) for model in result.models}
    margin = " " * (names + says + 4)
    lines = [margin + "  ".join(f"{model:<{width}}" for model, width in widths.items())]
    lines.append(margin + "  ".join(f"{'autonomy  off  mean   most':<{width}}" for width in widths.values()))
    for row in result.rows:
        cells = "  ".join(f"{_cell(result, row, model):<{width}}" for model, width in widths.items())
        lines.append(f"{row.name:<{names}}  {row.says:<{says}}  {cells}")
    sums = "  ".join(f"{_sum(result, model):<{width}}" for model, width in widths.items())
    lines.append(f"{'':<{names}}  {'rows without an intervention, all interventions':<{says}}  {sums}")
    return [line.rstrip() for line in lines] + ["", _legend(result)]


def _cell(result: SuiteResult, row: Row, model: str) -> str:
    mark = _BEST if len(result.models) > 1 and model in result.best(row.name) else ""
    return f"{_drive_text(result.drives[row.name][model])}{mark}"


def _drive_text(drive: Drive) -> str:
    """Return the autonomy, interventions and the distances from the centre line, in columns."""
    figures = drive.figures
    return (
        f"{figures['autonomy_percent']:6.1f} %{figures['interventions']:5d}"
        f"{figures['mean_abs_cross_track_m']:6.2f}{figures['max_abs_cross_track_m']:7.2f}"
    )


def _sum(result: SuiteResult, model: str) -> str:
    return f"{result.clean_rows(model)} of {len(result.rows)} rows, {result.interventions(model)}"


def _legend(result: SuiteResult) -> str:
    text = (
        "autonomy; off: interventions (wheels off the asphalt, or a drive that did not come around); mean and greatest "
        "distance from the centre line, m"
    )
    best = f"; {_BEST} best of its row: come around, then more autonomy, then nearer to the line"
    return text + (best if len(result.models) > 1 else "")
