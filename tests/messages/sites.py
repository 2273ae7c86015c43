"""The code of bcclone -> the places that make a message for a user, by the words that are written there."""

import ast
import re
from dataclasses import dataclass

from tests.conftest import ROOT

HOLE = "…"  # what is filled in while the program runs
KINDS = {
    "ArgumentTypeError", "BadHandshake", "BadImage", "CannotTakePart", "ForeignLog", "LoaderError", "NotDrawn",
    "PreprocessingMismatch", "ProtocolError", "RecordingGone", "RowError", "ServerGone", "UserError", "ValueError",
    "error",
}  # fmt: skip
_MAKERS = KINDS | {"cls", "died"}  # where such an error is returned
NOT_FOR_USERS = {
    "rebuild/": "each ends in open_model's message; tests/rebuild/test_rebuild_refusals.py provokes them",
    "drive/wire/socketio_dialects.py": "a packet that is refused is logged with its reason; tests/drive/test_packets.py",
    "drive/wire/websocket.py": "a handshake that fails is answered over the wire; tests/simulator/test_websocket.py",
    "doctor/__init__.py": "a check of ours without its advice: a fault of ours",
    "view.py": "a view that no option can ask for: a fault of ours",
}


@dataclass(frozen=True)
class Site:
    """A statement that makes a message. template: its words, with HOLE between them; raised: False: it is returned."""

    room: str
    template: str
    first_line: int
    last_line: int
    raised: bool

    def fits(self, text: str) -> bool:
        """Return True when the text holds these words in their order."""
        place = 0
        for words in re.sub(r"^\(\w+\) ", "", self.template).split(HOLE):
            if (found := text.find(words, place)) < 0:
                return False
            place = found + len(words)
        return True


def find_sites() -> list[Site]:
    """Return the sites of the whole package and of the scripts; the rooms are their paths."""
    package = ROOT / "bcclone"
    sites = []
    for path in sorted([*package.rglob("*.py"), *ROOT.glob("*.py")]):
        room = path.relative_to(package if path.is_relative_to(package) else ROOT).as_posix()
        if not room.startswith(tuple(NOT_FOR_USERS)):
            sites += _sites_of(room, path.read_text())
    return sites


def kinds_of_the_code() -> set[str]:
    """Return the names of the errors that the package makes of its own."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "bcclone").rglob("*.py")]
    kinds = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    ancestors = KINDS | {"Exception", "BaseException", "OSError", "ConnectionError", "RuntimeError"}
    return {kind.name for kind in kinds if any(getattr(base, "id", "") in ancestors for base in kind.bases)}


def _sites_of(room: str, code: str) -> list[Site]:
    sites = []
    tree = ast.parse(code)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            if (made := _made_in(node)) is None:
                continue
            first, last = node.lineno, node.end_lineno or node.lineno
            sites += [
                Site(room, template, first, last, not isinstance(node, ast.Return))
                for template in _templates(made, function.name)
            ]
    return list(dict.fromkeys(sites))  # those of a function in a function are met twice


def _made_in(node: ast.AST) -> ast.Call | None:
    """Return the call that makes a message in this statement."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return node.exc
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Call) and _name(node.value) in _MAKERS:
        return node.value
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _name(node.value) == "error":
        return node.value if "parser" in ast.unparse(node.value.func) else None  # not a logger's: it passes words on
    return None


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _templates(call: ast.Call, function: str) -> list[str]:
    """Return what a call may say: one template, or one for each side of an `if`; none where it is for nobody.

    One without words of its own, which passes on what it is given, is called by its function.
    """
    of_ours = _name(call) in KINDS
    told = [argument for argument in call.args if _is_text(argument)]
    if not told:
        return [f"({function}) {HOLE}"] if of_ours and call.args else []
    if not of_ours and _name(call)[0].isupper():
        return []  # RuntimeError and the like: a fault of ours; KeyboardInterrupt
    text = max(told, key=lambda argument: len(_words(argument)))
    sides = [text.body, text.orelse] if isinstance(text, ast.IfExp) else [text]
    templates = [re.sub(f"{HOLE}+", HOLE, _words(side)) for side in sides]
    return [words if re.search("[a-z]", words) else f"({function}) {words}" for words in templates]


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.BinOp):
        return _is_text(node.left)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and type(node.value) is str)


def _words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_words, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left) + _words(node.right)
    return HOLE
