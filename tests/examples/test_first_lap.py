"""The notebook of examples/ trains a car that drives a lap, and is stored with its outputs."""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import bcclone

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_lap.ipynb"
CPU_SECONDS = 300
FIGURES = """
import json
score = drive.score
print(json.dumps([score.complete, score.interventions, cpu_seconds, str(clip.output), clip.frames]))
"""


def test_it_is_stored_with_its_outputs():
    notebook = nbformat.read(NOTEBOOK, 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), (
        "run: docs/execute_notebook.py"
    )
    outputs = [output for cell in code for output in cell.outputs]
    kinds = {kind for output in outputs for kind in output.get("data", ())}
    assert kinds >= {"image/png", "image/gif"}


def test_it_is_small_and_names_no_folder_of_the_machine_that_executed_it():
    assert NOTEBOOK.stat().st_size < 500_000
    cells = nbformat.read(NOTEBOOK, 4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output.get("text") or output["data"]["text/plain"] for output in outputs]
    assert texts
    assert [text for text in texts if re.search(r"(^|[\s'\"])(/|[A-Z]:\\)\w", text)] == []


def test_it_uses_names_that_the_package_offers():
    cells = nbformat.read(NOTEBOOK, 4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    names = set(re.findall(r"\bbcclone\.(\w+)", code))
    assert names
    assert names <= set(dir(bcclone))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    sys.platform == "win32", reason="os.times() does not count the processes that Windows starts"
)
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
    assert "image/gif" in shown[-1].data
    assert (tmp_path / clip).stat().st_size > 100_000
    assert frames > 300
