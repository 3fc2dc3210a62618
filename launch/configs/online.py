"""Learning while acting in an environment: launch/train_online.py.

    --config=launch/configs/online.py:sac         SAC from nothing
    --config=launch/configs/online.py:iql         fine-tuning of a policy that IQL learned offline

What follows the colon is the algorithm; it keeps the values of its 'mujoco' domain.
"""

import math

from ml_collections import ConfigDict

from launch.configs import UnknownDomainError, base, cql, fql, ifql, iql, sac, td3, td3_bc

_ALGORITHMS = {
    'sac': sac, 'td3': td3, 'td3_bc': td3_bc, 'iql': iql, 'cql': cql, 'fql': fql, 'ifql': ifql,
}  # fmt: skip
# What is other than offline. IQL: no decay, as in the authors' fine-tuning script.
HPARAMS = {'iql': {'actor_decay_updates': math.inf}}
# The data of an offline run and what is done to them, which stay with the run, and what is judged from
# them.
_OFFLINE_KEYS = (
    'dataset', 'dataset_on', 'cut_at_goal', 'delayed_rewards', 'top_fraction',
    'standardize_observations', 'normalize_rewards', 'reward_scale', 'reward_shift',
    'standardize_returns', 'keep_checkpoints', 'evaluate_in', 'holdout_fraction', 'ope',
)  # fmt: skip
# What each key may be, as in base.py.
RANGES = {key: valid for key, valid in base.RANGES.items() if key not in _OFFLINE_KEYS} | {
    'from_run': 'text',
    'random_steps': 'int [0, 2**31)',
    'replay_capacity': 'int [1, 1e9]',
    'offline_share': '[0, 1)',
}


def get_config(algorithm: str = 'sac') -> ConfigDict:
    """Online training by 'sac', 'td3', 'td3_bc', 'iql', 'cql', 'fql' or 'ifql'."""
    if algorithm not in _ALGORITHMS:
        raise UnknownDomainError(
            f'config online: unknown algorithm {algorithm!r}; valid ones: {", ".join(_ALGORITHMS)}.'
        )
    config = _ALGORITHMS[algorithm].get_config('mujoco')
    for key in _OFFLINE_KEYS:
        del config[key]
    config.env_id = 'Hopper-v5'
    # An offline run to continue: --from_run sets it. Its environment takes the place of env_id, its
    # members and hyperparameters that of those that are left at their values here.
    config.from_run = ''
    # Steps in the environment, one update after each but the random ones.
    config.num_updates = 1_000_000
    # The policies are kept at every log.
    config.log_interval = 5_000
    # Evaluation, and a checkpoint after it; the running episodes are cut there.
    config.eval_interval = 10_000
    # Steps of uniformly random actions, and without updates, before the policy acts; none if it
    # comes from an offline run.
    config.random_steps = 10_000
    config.replay_capacity = 1_000_000
    # Of each batch, with --from_run: the share that comes from the offline dataset.
    config.offline_share = 0.5
    for name, value in HPARAMS.get(algorithm, {}).items():
        config.hparams[name] = value
    return config
