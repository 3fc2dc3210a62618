"""Builds a dataset from a recipe: python -m launch.collect --recipe=local/pointmaze/umaze-v0"""

from absl import flags
from absl.flags import FLAGS
from minari.storage.datasets_root_dir import get_dataset_path

from data import recipes
from data.recipes import storage
from data.types import DatasetError
from launch import cli
from launch.report import tables


def table() -> str:
    """All recipes, one a line: id, size, description."""
    return '\n'.join(tables.columns([
        (recipe.dataset_id, f'{recipe.size:,} {recipe.unit}', recipe.description)
        for recipe in recipes.RECIPES.values()
    ]))  # fmt: skip


def main(argv: list[str]) -> None:
    del argv
    if FLAGS.list:
        print(table())
        return
    if FLAGS.recipe is None:
        raise DatasetError('which recipe? --recipe=ID builds one, --list prints them all')
    recipe = recipes.resolve(FLAGS.recipe)
    there_already = storage.is_stored(recipe.dataset_id)
    recipes.build(recipe.dataset_id, FLAGS.seed)
    state = 'exists already' if there_already else 'is built'
    print(f'{recipe.dataset_id} {state}: {get_dataset_path(recipe.dataset_id)}')


if __name__ == '__main__':
    flags.DEFINE_string('recipe', None, 'Id of the dataset to build.')
    flags.DEFINE_integer('seed', 0, 'Seed of the environment and of the policy.', lower_bound=0)
    flags.DEFINE_bool('list', False, 'Print all recipes and stop.')
    cli.start(main)
