"""MuJoCo locomotion in D4RL's compositions, by policies that ship with the code.

The compositions are those of D4RL (https://arxiv.org/abs/2004.07219, section 5.1 and appendix A;
sizes as in the released v2 files), on gymnasium's v5 environments:

    random          uniformly random actions (D4RL: a freshly initialised policy)
    medium          a SAC policy stopped early, when it scored about what D4RL's did
    expert          a SAC policy at the end of its training
    medium-replay   policies from the start of that training to the medium one, in their order
    medium-expert   the medium set and after it one of the expert, in equal parts
    expert-randomP  ours: 100,000 steps of the expert, then random ones, P per cent of all

Actions are drawn from the stochastic policies, which for medium-replay is also how SAC explored, after
its first, uniformly random steps. The
policies (launch/train_online.py trained them, launch/behaviour_policies.py chose them)
lie in policies/, with a table of what each earns.
"""

import functools
import importlib.resources
from collections.abc import Iterator
from typing import NamedTuple

import gymnasium as gym
from minari.data_collector import EpisodeBuffer

from data import policies
from data.recipes import rollouts
from data.recipes.recipe import Recipe
from data.reference_scores import table_scores
from data.types import DatasetError

# Steps of the medium-replay set: where D4RL's policies had become medium.
REPLAY_STEPS = {'Hopper-v5': 400_000, 'HalfCheetah-v5': 200_000, 'Walker2d-v5': 300_000}
# Of expert-randomP: parts of random steps beside one part of the expert's.
RANDOM_PARTS = {50: 1, 75: 3, 90: 9}

_POLICIES = importlib.resources.files('data').joinpath('recipes', 'policies')


class Policy(NamedTuple):
    """A row of policies/table.csv.

    Attributes:
        env_id: gymnasium's.
        composition: 'medium', 'expert' or 'medium-replay'.
        step: of the training, at which it was taken.
        seed: of the training.
        mean_return: over `episodes` episodes of actions drawn from it.
        score: that return, normalised.
        episodes: how many were measured.
        command: that trained it.
    """

    env_id: str
    composition: str
    step: int
    seed: int
    mean_return: float
    score: float
    episodes: int
    command: str

    @property
    def name(self) -> str:
        """Of its parameters in policies/<env_id>.npz."""
        return f'step-{self.step}'


@functools.cache
def table() -> tuple[Policy, ...]:
    """All policies that ship with the code."""
    return policies.table(_POLICIES.joinpath('table.csv'), Policy)


def of_composition(env_id: str, composition: str) -> list[Policy]:
    """An environment's policies for a composition, in the order of their training."""
    found = [row for row in table() if (row.env_id, row.composition) == (env_id, composition)]
    return sorted(found, key=lambda row: row.step)


def parameters(env_id: str, composition: str) -> list[rollouts.Parameters]:
    """Of an environment's policies for a composition, in the order of their training.

    For 'random', [None]: what a rollout takes for uniformly random actions.

    Raises:
        DatasetError: there are none.
    """
    if composition == 'random':
        return [None]
    rows = of_composition(env_id, composition)
    file = _POLICIES.joinpath(f'{env_id}.npz')
    if not rows or not file.is_file():
        raise DatasetError(f'no {composition} policies of {env_id} come with this version.')
    with importlib.resources.as_file(file) as path:
        kept = policies.read(path)
    return [kept[row.name] for row in rows]


def _episodes(env: gym.Env, size: int, seed: int, compositions) -> Iterator[EpisodeBuffer]:
    env_id = env.spec.id
    sources = [source for name in compositions for source in parameters(env_id, name)]
    ends = [size * (i + 1) // len(sources) for i in range(len(sources))]
    sizes = [end - begin for begin, end in zip([0, *ends], ends)]
    return rollouts.episodes(env_id, list(zip(sources, sizes)), seed)


def _recipe(
    env_id: str, name: str, size: int, compositions: tuple[str, ...], description: str
) -> Recipe:
    body = env_id.partition('-')[0]
    spec = gym.spec(env_id)

    def references() -> dict[str, float]:
        random, expert = table_scores(spec)
        return {'ref_min_score': random, 'ref_max_score': expert}

    return Recipe(
        dataset_id=f'local/{body.lower()}/{name}-v0',
        description=f'{body}: {description}',
        size=size,
        unit='steps',
        env_spec=spec,
        eval_env_spec=spec,
        algorithm_name=', then '.join(dict.fromkeys(
            'uniformly random actions' if part == 'random' else f'SAC ({part})'
            for part in compositions
        )),
        requirements=('gymnasium>=1.2', 'mujoco<3.9'),
        references=references,
        episodes=functools.partial(_episodes, compositions=compositions),
    )  # fmt: skip


def _recipes(env_id: str, replay_steps: int) -> Iterator[Recipe]:
    million = 1_000_000
    yield _recipe(env_id, 'medium', million, ('medium',), 'a half-trained policy')
    yield _recipe(
        env_id, 'medium-replay', replay_steps, ('medium-replay',),
        'the policies of a training up to the half-trained one',
    )  # fmt: skip
    yield _recipe(
        env_id, 'medium-expert', 2 * million, ('medium', 'expert'),
        'a half-trained policy, then a trained one',
    )  # fmt: skip
    yield _recipe(env_id, 'expert', million, ('expert',), 'a trained policy')
    for percent, parts in RANDOM_PARTS.items():
        yield _recipe(
            env_id, f'expert-random{percent}', 100_000 * (1 + parts), ('expert', *['random'] * parts),
            f'a trained policy, then uniformly random actions, {percent} % of the steps',
        )  # fmt: skip


RECIPES = (
    *(_recipe(env_id, 'random', 1_000_000, ('random',), 'uniformly random actions')
      for env_id in (*REPLAY_STEPS, 'Ant-v5')),
    *(recipe for env_id, steps in REPLAY_STEPS.items() for recipe in _recipes(env_id, steps)),
)  # fmt: skip
