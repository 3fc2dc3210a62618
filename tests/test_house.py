"""The rooms of the code: who may import whom, what stands where, and how long a file may be."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    file for room in ('algorithms', 'data', 'launch', 'networks') for file in (ROOT / room).rglob('*.py')
)
# Beside its own room; the longest beginning of a file's path counts.
MAY_IMPORT = {
    'networks': (),
    'data': ('networks',),
    'algorithms': ('networks', 'data.types'),
    'launch/configs': (),
    'launch/run': ('algorithms', 'data', 'launch.cli', 'launch.configs.base'),
    'launch/estimate': ('algorithms', 'data', 'launch.cli', 'launch.run'),
    'launch/report': ('data', 'launch.cli', 'launch.run'),
    'launch/experiments': ('data', 'launch'),
    'launch/cli': (
        'data.types', 'launch.configs.UnknownDomainError', 'launch.configs.as_python',
        'launch.configs.register_parsers', 'data.workers', 'launch.run.compilations',
    ),
    'launch': ('algorithms', 'data', 'launch'),
}
ROOMS = {name.split('/')[0] for name in MAY_IMPORT}


@functools.cache
def imports(file: Path) -> list[str]:
    """Full names of the modules that a file imports, and of what it imports from them."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            found += [f'{node.module}.{alias.name}' for alias in node.names]
    return found


def within(name: str, rooms) -> bool:
    return any(f'{name}.'.startswith(f'{room}.') for room in rooms)


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_keeps_to_its_room(file):
    place = file.relative_to(ROOT).with_suffix('').as_posix()
    own = max((room for room in MAY_IMPORT if f'{place}/'.startswith(f'{room}/')), key=len)
    allowed = (*MAY_IMPORT[own], own.replace('/', '.'))
    ours = [name for name in imports(file) if name.split('.')[0] in ROOMS]
    assert [name for name in ours if not within(name, allowed)] == []
    # Whatever draws sets nothing for others, as pyplot and a choice of backend would.
    assert not any(within(name, ('matplotlib.pyplot',)) for name in imports(file))
    assert 'matplotlib.use' not in file.read_text() and 'rcParams' not in file.read_text()
    assert len(file.read_text().splitlines()) <= 300


def test_only_programs_stand_at_the_top_of_launch():
    names = {file.stem: file.read_text() for file in (ROOT / 'launch').glob('*.py')}
    programs = {name for name, text in names.items() if "if __name__ == '__main__':" in text}
    assert set(names) - programs == {'__init__', 'cli'}


def test_no_module_imports_itself_in_a_circle():
    modules = {
        '.'.join(file.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): file
        for file in FILES
    }

    def module_of(name: str) -> str:
        # What is imported is a module, or something in one.
        return name if name in modules else name.rpartition('.')[0]

    arrows = {
        name: {module_of(each) for each in imports(file)} & modules.keys()
        for name, file in modules.items()
    }
    assert sum(map(len, arrows.values())) > 200
    while leaves := {name for name, others in arrows.items() if not others}:
        arrows = {name: others - leaves for name, others in arrows.items() if name not in leaves}
    assert not arrows
