"""How the files of algorithms/ are written."""

import ast
from pathlib import Path

import pytest

import algorithms
from algorithms import ALGORITHMS, fqe

FILES = sorted(Path(algorithms.__file__).parent.glob('[!_]*.py'))


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_a_file_is_complete_in_itself_and_can_be_read_at_one_sitting(file):
    tree = ast.parse(file.read_text())
    imported = [
        'algorithms' if node.level else node.module
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    ]  # fmt: skip
    imported += [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    assert not any(name.split('.')[0] == 'algorithms' for name in imported)
    assert len(file.read_text().splitlines()) <= 300
    losses = [
        node.lineno for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.endswith('_loss')
    ]  # fmt: skip
    assert min(losses, default=0) <= 100
    # Closed forms have none.
    assert losses or file.stem in ('importance_sampling', 'marginalised')


def test_names_are_distinct():
    names = [module.NAME for module in (*ALGORITHMS.values(), fqe)]
    assert all(names) and len(set(names)) == len(names)
