import os
import subprocess
import sys

from data.recipes import RECIPES


def collect(tmp_path, *arguments):
    return subprocess.run(
        [sys.executable, '-m', 'launch.collect', *arguments],
        env={**os.environ, 'MINARI_DATASETS_PATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )


def test_list_shows_every_recipe_in_aligned_columns(tmp_path):
    result = collect(tmp_path, '--list')
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert '20,000 episodes' in lines[0]
    columns = {
        line.index(recipe.description) for line, recipe in zip(lines, RECIPES.values(), strict=True)
    }
    assert len(columns) == 1


def test_builds_once_and_then_says_where_it_is(tmp_path):
    recipe = '--recipe=local/icu-sepsis/random-5-v0'
    path = str(tmp_path / 'local/icu-sepsis/random-5-v0')
    first, second = collect(tmp_path, recipe), collect(tmp_path, recipe)
    assert 'is built' in first.stdout and path in first.stdout
    assert 'exists already' in second.stdout and path in second.stdout
    assert 'episodes/s' in first.stderr and not second.stderr


def test_an_unknown_recipe_is_one_sentence(tmp_path):
    result = collect(tmp_path, '--recipe=local/no/such-v0')
    assert result.returncode == 1
    assert 'local/no/such-v0' in result.stderr and 'local/icu-sepsis/clinician-v0' in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_no_recipe_named(tmp_path):
    result = collect(tmp_path)
    assert result.returncode == 1
    assert '--list' in result.stderr and len(result.stderr.splitlines()) == 1
