"""Formulas over the entries of an observation, as people write them: `-abs(age - 60) / 10`.

Python's grammar, of which there is arithmetic, comparisons, `a if b else c`, numbers, the entries by
name and a few functions, and nothing else: nothing of what is written is executed.
"""

import ast
import operator
import re
from collections.abc import Callable

import numpy as np

from data.types import DatasetError

FUNCTIONS: dict[str, Callable] = {
    'abs': np.abs, 'sqrt': np.sqrt, 'exp': np.exp, 'log': np.log, 'sin': np.sin, 'cos': np.cos,
    'tanh': np.tanh, 'min': np.minimum, 'max': np.maximum,
}  # fmt: skip
_ARGUMENTS = dict.fromkeys(FUNCTIONS, 1) | {'min': 2, 'max': 2}
_OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Lt: operator.lt,
    ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
# A name that is no name of Python's stands in these: `ward=surgery`.
_QUOTED = re.compile('`([^`]*)`')
_LONGEST = 1_000


def parse(text: str, names: list[str]) -> Callable[[np.ndarray], np.ndarray]:
    """The function of observations that a formula is: (n, size) -> float64 (n,).

    Args:
        text: of the formula.
        names: of the entries, size of them; names with brackets (`achieved_goal[0]`) are written so.

    Raises:
        DatasetError: it is no formula, or of something that is not there.
    """
    quoted: list[str] = []

    def stand_in(match: re.Match) -> str:
        quoted.append(match[1])
        return f'_quoted_{len(quoted) - 1}'

    def fail(reason: str):
        raise DatasetError(f'formula {text!r}: {reason}.')

    if len(text) > _LONGEST:
        raise DatasetError(f'a formula of {len(text):,} characters is too long: {_LONGEST:,} may be.')
    try:
        tree = ast.parse(_QUOTED.sub(stand_in, text.strip()), mode='eval').body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise DatasetError(f'formula {text!r}: it cannot be read ({reason}).') from error

    def name_of(node: ast.AST) -> str:
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return f'{name_of(node.value)}[{node.slice.value}]'
        if not isinstance(node, ast.Name):
            fail(f'{ast.unparse(node)} is none of numbers, names, arithmetic, comparisons, a if b else '
                 f'c and the functions {", ".join(FUNCTIONS)}')  # fmt: skip
        if match := re.fullmatch(r'_quoted_(\d+)', node.id):
            return quoted[int(match[1])]
        return node.id

    def compiled(node: ast.AST) -> Callable[[np.ndarray], np.ndarray]:
        match node:
            case ast.Constant(value=bool() | complex() | str() | bytes() | None):
                fail(f'{ast.unparse(node)} is no number')
            case ast.Constant(value=int() | float() as value):
                number = np.float64(value)
                return lambda rows: number
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return applied(_OPERATORS[type(op)], operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return applied(_OPERATORS[type(op)], left, right)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return applied(_OPERATORS[type(op)], left, right)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return applied(np.where, test, body, orelse)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
                if len(arguments) != _ARGUMENTS[name]:
                    fail(f'{name} takes {_ARGUMENTS[name]} of them, not {len(arguments)}')
                return applied(FUNCTIONS[name], *arguments)
        name = name_of(node)
        if name not in names:
            fail(f'there is no entry {name!r}; there are {", ".join(names)}')
        column = names.index(name)
        return lambda rows: rows[:, column]

    def applied(function: Callable, *nodes: ast.AST) -> Callable[[np.ndarray], np.ndarray]:
        parts = [compiled(node) for node in nodes]
        return lambda rows: np.asarray(function(*(part(rows) for part in parts)), np.float64)

    try:
        found = compiled(tree)
    except (RecursionError, OverflowError) as error:
        raise DatasetError(f'formula {text!r}: it is too deep, or a number too large.') from error

    def values(observations: np.ndarray) -> np.ndarray:
        # What is infinite or not a number is said where it is used.
        with np.errstate(all='ignore'):
            value = found(np.asarray(observations, np.float64))
        return np.broadcast_to(value, len(observations))

    return values
