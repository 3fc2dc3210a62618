"""What README.md and the page of measurements refer to is there."""

import importlib.util
import re
from pathlib import Path

import pytest

from launch import cli

ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / 'README.md', ROOT / 'notebooks' / 'results' / 'README.md'
PAGES = pytest.mark.parametrize('page', [README, RESULTS], ids=['readme', 'results'])


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def names(directory: Path) -> set[str]:
    """The modules of a directory."""
    return {file.stem for file in directory.glob('*.py')} - {'__init__'}


def reading_order() -> list[str]:
    """The files of the numbered list in README.md."""
    return re.findall(r'^\d+\. \[.+?\]\((.+?)\)', README.read_text(), re.MULTILINE)


def test_the_readme_has_at_most_200_lines():
    assert len(README.read_text().splitlines()) <= 200


@PAGES
def test_links_lead_somewhere(page):
    links = [
        link
        for link in re.findall(r'\]\((.+?)\)', page.read_text())
        if not link.startswith(('http://', 'https://'))
    ]
    assert links
    for link in links:
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@PAGES
def test_commands_name_modules(page):
    commands = set(re.findall(r'python -m (launch(?:\.\w+)+)', page.read_text()))
    assert commands
    for command in commands:
        assert importlib.util.find_spec(command), command


@PAGES
def test_configs_load(page):
    for value in set(re.findall(r'\blaunch/configs/\w+\.py:\w+', page.read_text())):
        path, _, domain = value.partition(':')
        assert cli.load_config(f'{ROOT / path}:{domain}'), value


def test_the_reading_order_is_short():
    files = reading_order()
    assert 1 < len(files) <= 12
    assert len(set(files)) == len(files)
    assert all((ROOT / file).is_file() for file in files)


def test_every_experiment_has_its_section():
    shown = set(re.findall(r'launch\.experiments\.(\w+)', RESULTS.read_text()))
    assert shown == names(ROOT / 'launch' / 'experiments')
    sections = re.findall(r'^- \[(.+)\]\(#', RESULTS.read_text(), re.MULTILINE)
    headings = re.findall(r'^## (.+)$', RESULTS.read_text(), re.MULTILINE)
    assert sections == [heading for heading in headings if heading != 'Protocol']
