"""What the tests of estimates use."""

import numpy as np

from data.loading import Dataset
from data.types import Spec, Transition
from launch.configs import ope as ope_config
from launch.estimate.estimators import Estimate, Judged
from tests.data.helpers import problem

SEPSIS = 'local/icu-sepsis/clinician-60-v0'


def config_for(dataset, **values):
    config = ope_config.get_config('sepsis')
    small = {
        'dataset': dataset,
        'num_updates': 40,
        'log_interval': 1,
        'batch_size': 16,
        'num_refits': 2,
        'network.hidden_sizes': (8,),
        'min_effective_sample_size': 0.0,
        'min_mean_weight': 0.0,
        'min_support': 0.0,
        'behaviour_model.num_updates': 50,
        'behaviour_model.network.hidden_sizes': (8,),
    }
    config.update_from_flattened_dict(small | values)
    return config


def judged_as(*estimates):
    return [
        Judged(
            f'policy {i}', 'run', i, 'BC', 1,
            {'FQE': Estimate(value, value - 0.1, value + 0.1)}, 0.9, 5.0,
        )  # fmt: skip
        for i, value in enumerate(estimates)
    ]


def log(lengths, rewards, actions=None) -> Dataset:
    """Terminated episodes of two actions, in each step another state; all take action 0 by default."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    steps = np.arange(offsets[-1])
    states = np.eye(max(lengths) + 1, dtype=np.float32)[steps - np.repeat(offsets[:-1], lengths)]
    return Dataset(
        problem=problem(Spec(states.shape[1], 2, True)),
        transitions=Transition(
            states, np.zeros(len(steps), np.int32) if actions is None else np.int32(actions),
            np.array(rewards, np.float32), np.float32(~np.isin(steps, offsets[1:] - 1)),
            np.roll(states, -1, axis=0),
        ),
        truncation=np.zeros(len(steps), bool),
        episode_offsets=offsets,
        metadata={},
    )  # fmt: skip
