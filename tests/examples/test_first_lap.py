"""The notebook of examples/ trains a car that drives a lap."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_lap.ipynb"
CPU_SECONDS = 300
FIGURES = """
import json
print(json.dumps([drive.score.complete, drive.score.interventions, cpu_seconds, str(clip.path), clip.frames]))
"""


def test_it_is_stored_without_outputs():
    code = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform == "win32", reason="os.times() does not count the processes that Windows starts")
def test_the_car_drives_a_lap_within_five_minutes_of_cpu_time(tmp_path, capsys):
    notebook = nbformat.read(NOTEBOOK, 4)
    notebook.cells.append(nbformat.v4.new_code_cell(FIGURES))
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": tmp_path}}).execute()
    *_, shown, _, figures = (cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    complete, interventions, cpu_seconds, clip, frames = json.loads(figures[0].text)
    with capsys.disabled():
        print(f"\nfirst_lap.ipynb: {cpu_seconds:.0f} s of CPU time")
    assert complete
    assert interventions == 0
    assert cpu_seconds < CPU_SECONDS
    assert "video" in shown[-1].data["text/html"]
    assert (tmp_path / clip).stat().st_size > 100_000
    assert frames > 300
