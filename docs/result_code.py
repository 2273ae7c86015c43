"""Which results in docs/results/ are of code that has changed since they were measured?

    python docs/result_code.py              # list them, and the pages that quote them
    python docs/result_code.py --note NAME  # NAME.json was just made anew: keep its code's digest

A result keeps, as `code`, the folders and files whose code it measures, and their digest.
Docstrings and lines of comments do not count. A page quotes a result if it links to its file.
"""

import argparse
import ast
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
_DRIVES = ("camera", "dataset", "model", "simulator", "evaluation", "drive/controller.py")
_TRAINS = ("dataset", "feed", "model", "training")
# result -> the code that it measures, below bcclone/, or below the root if it begins with /
CODE: dict[str, Sequence[str]] = {
    "any-camera": (*_TRAINS, *_DRIVES, "realcar"),
    "any-road": (*_TRAINS, *_DRIVES),
    "chunks": ("dataset", "feed"),
    "cluster": _TRAINS,
    "drive": ("drive", "model", "web", "dataset/preprocessing.py"),
    "env": ("research/environment.py", "simulator"),
    "export": ("realcar", "model"),
    "feeds": ("dataset", "feed"),
    "first-lap": (*_TRAINS, *_DRIVES),
    "fuzz": ("recording", "exchange", "model", "system", "/tests/fuzz"),
    "gpu": _TRAINS,
    "improve": ("research", *_TRAINS, *_DRIVES),
    "margin": ("research", *_DRIVES),
    "networks": (*_TRAINS, *_DRIVES),
    "play": ("game", "simulator", "drive", "web"),
    "preprocess": ("recording", "camera", "dataset"),
    "record-next": ("research", *_TRAINS, *_DRIVES),
    "recording-faults": ("recording", "camera", "diagnosis"),
    "replay": (*_TRAINS, *_DRIVES),
    "scale": _TRAINS,
    "soak": ("drive", "web"),
    "suite": _DRIVES,
    "suite-others": _DRIVES,
    "suite-testing": _DRIVES,
    "training": _TRAINS,
    "verdicts": _DRIVES,
    "video": ("pictures",),
    "windows": ("dataset", "feed"),
}


def main() -> None:
    """Keep the digests of the named results, or list what has changed."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--note", choices=CODE, nargs="+", metavar="NAME", default=[])
    noted = parser.parse_args().note
    for name in noted:
        note(RESULTS / f"{name}.json", CODE[name])
    if not noted:
        print("\n".join(changed()) or "no result is of code that has changed since")


def note(path: Path, places: Sequence[str], root: Path = ROOT) -> None:
    """Keep the digest of the measured code in a result, a JSON object."""
    result = json.loads(path.read_text(encoding="utf-8"))
    result["code"] = {"places": list(places), "digest": digest_of(places, root)}
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def changed(root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each result whose code has changed, with the pages that quote it."""
    for path in sorted((root / "docs" / "results").glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8")).get("code")
        if kept is None:
            reason = "was measured before digests were kept"
        elif kept["digest"] != digest_of(kept["places"], root):
            reason = "was measured before its code changed"
        else:
            continue
        pages = ", ".join(str(page.relative_to(root)) for page in quoting(path.name, root))
        yield f"{path.name} {reason}; quoted by: {pages or 'no page'}"


def quoting(name: str, root: Path = ROOT) -> list[Path]:
    """Return the pages that link to a result, without the lab log, which keeps what was."""
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("models/*.md")]
    pages += root.glob("writeup_images/*.md")
    return [page for page in sorted(pages) if f"results/{name}" in page.read_text(encoding="utf-8")]


def digest_of(places: Sequence[str], root: Path = ROOT) -> str:
    """Return 16 digits of the SHA-256 of the code in these places."""
    found: Any = hashlib.sha256()
    for place in places:
        path = root / place[1:] if place.startswith("/") else root / "bcclone" / place
        modules = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if not modules:
            raise FileNotFoundError(path)
        for module in modules:
            found.update(str(module.relative_to(root)).encode())
            found.update(_code_lines(module).encode())
    return str(found.hexdigest()[:16])


def _code_lines(module: Path) -> str:
    """Return the lines of a module without docstrings, lines of comments and empty ones."""
    text = module.read_text(encoding="utf-8")
    left_out = set()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        if ast.get_docstring(node):
            docstring = node.body[0]
            left_out |= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    lines = enumerate(map(str.strip, text.splitlines()), 1)
    kept = [line for number, line in lines if line[:1] not in ("", "#") and number not in left_out]
    return "\n".join(kept)


if __name__ == "__main__":
    main()
