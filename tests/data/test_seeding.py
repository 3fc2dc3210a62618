"""Episodes of environments that draw from NumPy's global generator and their action space's."""

import numpy as np
import pytest

from data import environments, problem, seeding
from data.types import Spec
from tests.data import helpers
from tests.data.plane import PLANE_ID


@pytest.mark.parametrize('towards_goals', [False, True])
def test_an_episode_is_made_by_its_seed_and_disturbs_no_others_numbers(towards_goals):
    spec = environments.registered(PLANE_ID)
    task = helpers.problem(Spec(2, 2, False), env_spec=spec)
    env = environments.make((problem.towards_goals(task) if towards_goals else task).env_spec)

    def begun(seed):
        observation, info = seeding.reset(env, seed, {'turn': 2} if towards_goals else None)
        return np.concatenate([observation, info['goal']])

    np.random.seed(5)  # noqa: NPY002
    first = [begun(seed) for seed in (1, 2)]
    drawn = np.random.uniform()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    assert np.random.uniform() == drawn  # noqa: NPY002
    env.action_space.sample()
    np.testing.assert_array_equal(first, [begun(seed) for seed in (2, 1)][::-1])
    assert np.abs(first[0] - first[1]).min() > 0
    # Without a seed it goes on, and from the same seed to the same.
    once, again = ([begun(seed) for seed in (1, None, None)] for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert np.abs(np.diff(once, axis=0)).min() > 0
