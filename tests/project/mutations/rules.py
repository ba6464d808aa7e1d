"""The rules by which defects are planted in Python code.

A rule looks at one node of a syntax tree and returns the defects it can plant there, each as the
text that replaces the node. No rule names Podium code, so renaming does not affect them.
"""

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

__all__ = ["Defect", "defects_of"]

_T = TypeVar("_T", bound=ast.expr)

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}
_FUNCTIONS = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list"}


@dataclass(frozen=True)
class Defect:
    """One planted defect.

    Attributes:
        file: The file, relative to the project.
        scope: The function or class that holds it, such as `StreamWriter.append`.
        rule: What was done, such as `drop the call`.
        line: The line of the original code.
        before: The original text.
        source: The whole source of the file with the defect in it.
    """

    file: str
    scope: str
    rule: str
    line: int
    before: str
    source: str

    @property
    def draw(self) -> str:
        """Returns a hash by which defects are sorted, so that their order is random.

        It does not depend on other code of the file.
        """
        text = f"{self.file} {self.scope} {self.rule} {self.before}"
        return sha256(text.encode()).hexdigest()


def defects_of(file: str, source: str) -> Iterator[Defect]:
    """Yields every defect that the rules can plant in a file."""
    lines = source.splitlines(keepends=True)
    for scope, node in _walk(ast.parse(source), ""):
        for rule, after in _planted(node):
            begin, end = _offset(lines, node.lineno, node.col_offset), _end(lines, node)
            text = source[:begin] + after + source[end:]
            yield Defect(file, scope, rule, node.lineno, source[begin:end], text)


def _walk(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    for child in ast.iter_child_nodes(node):
        if _is_left_out(child):
            continue
        inner = scope
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = f"{scope}.{child.name}".lstrip(".")
        elif scope and isinstance(child, (ast.expr, ast.stmt)):
            yield scope, child
        yield from _walk(child, inner)


def _is_left_out(node: ast.AST) -> bool:
    """Returns whether no defect is planted in a node, such as an import or an annotation."""
    if isinstance(node, (ast.arguments, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.AnnAssign)):
        return True
    if isinstance(node, ast.FunctionDef) and node.name in {"__repr__", "__str__"}:
        return True
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _planted(node: ast.expr | ast.stmt) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Compare(ops=[operator, *_]) if type(operator) in _COMPARISONS:
            other = _copy(node)
            other.ops[0] = _COMPARISONS[type(operator)]()
            yield "change the comparison", _text(other)
        case ast.BoolOp():
            both = _copy(node)
            both.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "swap and with or", _text(both)
            yield "drop the last condition", _text(node.values[0])
        case ast.UnaryOp(op=ast.Not()):
            yield "drop not", _text(node.operand)
        case ast.BinOp() if type(node.op) in _ARITHMETIC and not _is_text(node):
            changed = _copy(node)
            changed.op = _ARITHMETIC[type(node.op)]()
            yield "change the arithmetic", _text(changed)
        case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
            called = _copy(node)
            called.func = ast.Name(_FUNCTIONS[name])
            yield f"call {_FUNCTIONS[name]} for {name}", _text(called)
        case ast.Constant(value=bool() as value):
            yield "negate the constant", repr(not value)
        case ast.Constant(value=int() as number):
            yield "add one to the constant", repr(number + 1)
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise():
            yield f"drop the {type(node).__name__.lower()} statement", "pass"
        case ast.IfExp():
            yield "take the other value", _text(node.orelse)


def _copy(node: _T) -> _T:
    return deepcopy(node)


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(isinstance(s, (ast.JoinedStr, ast.List, ast.Tuple, ast.Dict)) for s in sides) or any(
        isinstance(s, ast.Constant) and isinstance(s.value, (str, bytes)) for s in sides
    )


def _offset(lines: list[str], line: int, column: int) -> int:
    """Returns the index in the source of a line and a column. Columns count UTF-8 bytes."""
    before = sum(map(len, lines[: line - 1]))
    return before + len(lines[line - 1].encode()[:column].decode())


def _end(lines: list[str], node: ast.expr | ast.stmt) -> int:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return _offset(lines, node.end_lineno, node.end_col_offset)
