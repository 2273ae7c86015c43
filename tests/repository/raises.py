"""List the `raise` statements that no test executed, from the data of `make coverage`."""

import ast
import json
import subprocess
import sys
from pathlib import Path


def raise_lines(source: str) -> dict[int, str]:
    """Return the first line of each raise statement with an exception of its own, and the statement's text."""
    raises = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise) and node.exc is not None]
    return {node.lineno: ast.unparse(node) for node in raises}


def never_raised(report: dict[str, dict[str, list[int]]]) -> list[str]:
    """Return a line for each raise that a coverage report, by file name, lists as missing."""
    return [
        f"{name}:{line}: {text[:120]}"
        for name, lines in report.items()
        for line, text in sorted(raise_lines(Path(name).read_text()).items())
        if line in lines["missing_lines"]
    ]


def main() -> None:
    """Print them; run it in the repository's root."""
    program = Path(sys.executable).with_name("coverage")
    report = subprocess.run([program, "json", "-q", "-o", "-", "--fail-under=0"], capture_output=True, check=True)
    found = never_raised(json.loads(report.stdout)["files"])
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} raise statements were never executed")


if __name__ == "__main__":
    main()
