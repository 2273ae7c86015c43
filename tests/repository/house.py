"""How large each room of the package is, and where a rule of the house is broken."""

import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

PACKAGE = ROOT / "bcclone"
WINGS = ("cluster", "lab")
_NO_TOKEN = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
_LIMITS_OF_FOREIGN_BYTES = re.compile(r"\b_?(?:MOST|LONGEST)_|\bst_size\b|\bisprintable\b")


class Size(NamedTuple):
    """How large some modules are. tokens: names, numbers, strings and operators, without docstrings and comments."""

    lines: int
    tokens: int
    modules: int


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def size_of(paths):
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    tokens = sum(_count_tokens(text, parsed(path)) for path, text in texts.items())
    return Size(sum(len(text.splitlines()) for text in texts.values()), tokens, len(texts))


def _count_tokens(text, tree):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node, clean=False)]
    docs = {line for node in nodes for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)}
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type not in _NO_TOKEN and token.start[0] not in docs for token in found)


def modules(folder=PACKAGE):
    return sorted(folder.rglob("*.py"))


def room_of(path):
    """Return `dataset`, `lab/margin`, ...; the modules at the top of the package belong to `commands`."""
    parts = path.relative_to(PACKAGE).parts
    if len(parts) == 1:
        return "commands"
    return "/".join(parts[:2]) if parts[0] == "lab" and len(parts) > 2 else parts[0]


def room_sizes():
    """Return the sizes of all rooms, of the package, and of the tests and benchmarks."""
    rooms = defaultdict(list)
    for path in modules():
        rooms[room_of(path)].append(path)
    rooms["bcclone"] = modules()
    rooms |= {name: modules(ROOT / name) for name in ("tests", "benchmarks")}
    return {room: size_of(paths) for room, paths in rooms.items()}


def page_lines():
    return sum(len(page.read_text(encoding="utf-8").splitlines()) for page in (ROOT / "docs").rglob("*.md"))


def repeated_classes():
    names = Counter(
        node.name for path in modules() for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)
    )
    return sorted(name for name, count in names.items() if count > 1 and not name.startswith("_"))


def repeated_files():
    """Return the file names that stand twice on the line; a wing may repeat one."""
    names = Counter(path.name for path in modules() if room_of(path).split("/")[0] not in WINGS)
    return sorted(name for name, count in names.items() if count > 1 and name != "__init__.py")


def limits_outside_of_system():
    """Return the modules that look at foreign bytes themselves: `system/` does, once for all."""
    paths = [path for path in modules() if room_of(path) != "system"]
    return [_name(path) for path in paths if _LIMITS_OF_FOREIGN_BYTES.search(path.read_text(encoding="utf-8"))]


def modules_with_one_customer():
    """Return the modules that only one module imports, one of the same folder."""
    customers = defaultdict(set)
    for path in modules():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bcclone"):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                for name in names:
                    customers[name].add(path)
    return [
        _name(path)
        for path in modules()
        if path.name != "__init__.py" and [one.parent for one in customers[_dotted(path)]] == [path.parent]
    ]


def private_functions():
    """Return how many private functions are used once, and how many functions there are."""
    once = everything = 0
    for path in modules():
        nodes = list(ast.walk(parsed(path)))
        defined = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
        used = Counter(node.id for node in nodes if isinstance(node, ast.Name))
        used += Counter(node.attr for node in nodes if isinstance(node, ast.Attribute))
        everything += len(defined)
        once += sum(used[name] == 1 for name in defined if name.startswith("_") and not name.startswith("__"))
    return once, everything


def _dotted(path):
    return ".".join(Path(path).relative_to(ROOT).with_suffix("").parts)


def _name(path):
    return path.relative_to(ROOT).as_posix()
