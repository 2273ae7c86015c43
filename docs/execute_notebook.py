"""Execute examples/first_lap.ipynb and store it with its outputs.

    python docs/execute_notebook.py

Takes about five minutes of CPU time. Run it again after a change of the notebook's code. What it
makes goes into a temporary folder. What programs print about the machine on standard error, and the
times of the cells, are left out.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient

from bcclone.system.files import write_text

NOTEBOOK = Path(__file__).parent.parent / "examples" / "first_lap.ipynb"


def main() -> None:
    """Execute the notebook, and store it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    untyped: Any = nbformat  # its functions have no types
    notebook = untyped.read(NOTEBOOK, 4)
    execute(notebook)
    write_text(NOTEBOOK, untyped.writes(notebook) + "\n")


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run all cells in a temporary folder; the notebook gets their outputs.

    What is about this machine is left out.
    """
    most_seconds = 3600  # of a cell
    with TemporaryDirectory(prefix="bcclone-") as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=most_seconds, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata["language_info"] = {"name": "python"}


if __name__ == "__main__":
    main()
