import pytest

from data.recipes import RECIPES
from tests.launch.helpers import program


@pytest.fixture(autouse=True)
def stored(storage):
    return storage


def collect(*arguments):
    return program('launch.collect', *arguments)


def test_list_shows_every_recipe_in_aligned_columns():
    result = collect('--list')
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert '20,000 episodes' in lines[0]
    columns = {
        line.index(recipe.description) for line, recipe in zip(lines, RECIPES.values(), strict=True)
    }
    assert len(columns) == 1


def test_builds_once_and_then_says_where_it_is(stored):
    recipe = '--recipe=local/icu-sepsis/random-5-v0'
    path = str(stored / 'local/icu-sepsis/random-5-v0')
    first, second = collect(recipe), collect(recipe)
    assert 'is built' in first.stdout and path in first.stdout
    assert 'exists already' in second.stdout and path in second.stdout
    assert 'episodes/s' in first.stderr and not second.stderr


def test_an_unknown_recipe_is_one_sentence():
    result = collect('--recipe=local/no/such-v0')
    assert result.returncode == 1
    assert 'local/no/such-v0' in result.stderr and 'local/icu-sepsis/clinician-v0' in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_no_recipe_named():
    result = collect()
    assert result.returncode == 1
    assert '--list' in result.stderr and len(result.stderr.splitlines()) == 1
