"""Execute examples/first_lap.ipynb and store it with its outputs.

    python docs/execute_notebook.py

Takes about five minutes of CPU time. Run it again after a change of the notebook's code. What it
makes goes into a temporary folder. What programs print about the machine on standard error, and the
times of the cells, are left out.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

from bcclone.system.atomic import write_text

NOTEBOOK = Path(__file__).parent.parent / "examples" / "first_lap.ipynb"
_CELL_SECONDS = 3600


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run all cells in a temporary folder; the notebook gets their outputs, without what is about
    this machine.
    """
    with TemporaryDirectory(prefix="bcclone-") as folder:
        NotebookClient(
            notebook, timeout=_CELL_SECONDS, resources={"metadata": {"path": folder}}
        ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata["language_info"] = {"name": "python"}


if __name__ == "__main__":
    stored = nbformat.read(NOTEBOOK, 4)
    execute(stored)
    write_text(NOTEBOOK, nbformat.writes(stored) + "\n")
