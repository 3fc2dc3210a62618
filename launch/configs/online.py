"""Learning while acting in an environment: launch/train_online.py.

    --config=launch/configs/online.py:sac         SAC from nothing
    --config=launch/configs/online.py:rlpd        RLPD: SAC with a dataset in half of each batch
    --config=launch/configs/online.py:iql         fine-tuning of a policy that IQL learned offline

What follows the colon is the algorithm; it keeps the values of its 'mujoco' domain. RLPD (Ball et al.
2023, https://arxiv.org/abs/2302.02948; values of ikostrikov/rlpd's README and configs) has others for
antmaze, and for adroit with its sparse rewards: rlpd-antmaze, rlpd-adroit.
"""

import math

from ml_collections import ConfigDict

from launch.configs import (
    UnknownDomainError,
    awac,
    base,
    cal_ql,
    cql,
    edac,
    fql,
    ifql,
    iql,
    rebrac,
    sac,
    td3,
    td3_bc,
    xql,
)  # fmt: skip

_ALGORITHMS = {
    'sac': sac, 'td3': td3, 'td3_bc': td3_bc, 'iql': iql, 'cql': cql, 'awac': awac, 'cal_ql': cal_ql,
    'edac': edac, 'fql': fql, 'ifql': ifql, 'rebrac': rebrac, 'xql': xql,
}  # fmt: skip
# What is other than offline. IQL: no decay, as in the authors' fine-tuning script; XQL, built on its
# code, likewise. Cal-QL's scripts keep their values, and half of each batch is from the dataset. FQL's
# code draws from the dataset and what came since as from one, with the alphas of its README.
HPARAMS = dict.fromkeys(('iql', 'xql'), {'actor_decay_updates': math.inf})
# What is done to the data of an offline run, which stays with the run.
DATA_KEYS = (
    'dataset', 'cut_at_goal', 'top_fraction', 'standardize_observations', 'normalize_rewards',
    'reward_scale', 'reward_shift', 'standardize_returns',
)  # fmt: skip
# What else only an offline run has.
_OFFLINE_KEYS = (
    'dataset_on', 'goals', 'delayed_rewards', 'keep_checkpoints', 'evaluate_in', 'holdout_fraction',
    'ope',
)
# What each key may be, as in base.py.
RANGES = {key: valid for key, valid in base.RANGES.items() if key not in _OFFLINE_KEYS} | {
    'from_run': 'text',
    'random_steps': 'int [0, 2**31)',
    'replay_capacity': 'int [1, 1e9]',
    'offline_share': '[0, 1)',
    'updates_per_step': 'int [1, 1e4]',
}
# By domain, over SAC's values.
_RLPD = {
    'network.num_critics': 10, 'network.layer_norm': True, 'network.num_target_critics': 2,
    'network.actor_q': 'mean', 'network.fresh_entropy': False,
    'hparams.target_entropy_per_dimension': -0.5,
    'updates_per_step': 20, 'random_steps': 5_000, 'num_updates': 250_000,
    'env_id': '', 'dataset': 'local/hopper/medium-v0',
}  # fmt: skip
_RLPD_SPARSE = _RLPD | {'network.hidden_sizes': (256, 256, 256), 'network.entropy_in_backup': False}
_RLPD_DOMAINS = {
    'rlpd': _RLPD,
    'rlpd-antmaze': _RLPD_SPARSE | {
        'network.num_target_critics': 1, 'num_updates': 300_000, 'eval_episodes': 100,
        'dataset': 'local/antmaze/umaze-v0', 'reward_shift': -1.0,
    },
    'rlpd-adroit': _RLPD_SPARSE | {'num_updates': 1_000_000, 'dataset': 'D4RL/pen/human-v2'},
}  # fmt: skip


def get_config(algorithm: str = 'sac') -> ConfigDict:
    """Online training by an algorithm, such as 'sac' or 'rlpd-antmaze'."""
    names = *_ALGORITHMS, *_RLPD_DOMAINS
    if algorithm not in names:
        raise UnknownDomainError(
            f'config online: unknown algorithm {algorithm!r}; valid ones: {", ".join(names)}.'
        )
    config = _ALGORITHMS.get(algorithm, sac).get_config('mujoco')
    for key in _OFFLINE_KEYS:
        del config[key]
    config.env_id = 'Hopper-v5'
    # A dataset from which `offline_share` of each batch is, and whose environment is acted in where
    # env_id is ''; '' for none.
    config.dataset = ''
    # An offline run to continue: --from_run sets it. Its environment takes the place of env_id, its
    # dataset that of `dataset`, with what was done to it, its members and hyperparameters that of those
    # that are left at their values here.
    config.from_run = ''
    # Steps in the environment, `updates_per_step` after each but the random ones.
    config.num_updates = 1_000_000
    config.updates_per_step = 1
    # The policies are kept at every log.
    config.log_interval = 5_000
    # Evaluation, and a checkpoint after it; the running episodes are cut there.
    config.eval_interval = 10_000
    # Steps of uniformly random actions, and without updates, before the policy acts; none if it
    # comes from an offline run.
    config.random_steps = 10_000
    config.replay_capacity = 1_000_000
    # Of each batch, where there is a dataset: the share that comes from it.
    config.offline_share = 0.5
    for name, value in HPARAMS.get(algorithm, {}).items():
        config.hparams[name] = value
    if algorithm in _RLPD_DOMAINS:
        config.name = 'RLPD'
        config.update_from_flattened_dict(_RLPD_DOMAINS[algorithm])
        # The policy moves once a step, with the last of its batches.
        config.network.policy_delay = config.get_oneway_ref('updates_per_step')
    return config
