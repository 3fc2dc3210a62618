"""What every run's config has, with the values that most runs keep."""

from ml_collections import ConfigDict

from launch.configs import UnknownDomainError, _goals, _ogbench, ope

# Of an estimate's keys, those that are the run's own.
_OF_THE_LOG = ('algorithm', 'dataset', 'standardize_observations', 'output')
# What is a domain's, whatever the algorithm: so that algorithms are compared on one footing.
DOMAINS = {
    'mujoco': {'dataset': 'local/hopper/medium-v0'},
    'antmaze': {
        'dataset': 'local/antmaze/umaze-v0',
        'eval_interval': 100_000,
        'eval_episodes': 100,
    },
    'kitchen': {'dataset': 'D4RL/kitchen/complete-v2'},
    'adroit': {'dataset': 'D4RL/pen/human-v2'},
    # Ours, as is sepsis: as many updates as two cores do for three seeds in five minutes.
    'pointmaze': {
        'dataset': 'local/pointmaze/umaze-v0',
        'num_updates': 20_000,
        'log_interval': 500,
        'eval_interval': 5_000,
        'eval_episodes': 20,
    },
    # Small networks and few updates, for ten seeds in a minute or two. These values, and each
    # algorithm's own, were chosen on seeds 100 to 103, which no reported run uses.
    'sepsis': {
        'dataset': 'local/icu-sepsis/clinician-v0',
        'num_seeds': 10,
        'num_updates': 5_000,
        'batch_size': 512,
        'log_interval': 500,
        'eval_interval': 1_000,
        'eval_episodes': 100,
        'final_eval_episodes': 1_000,
        'network.hidden_sizes': (128, 128),
    },
    # A table of which nothing is known, on a laptop: five seeds, for most in a minute or two.
    'log': {
        'dataset': '',
        'evaluate_in': 'log',
        'num_seeds': 5,
        'num_updates': 10_000,
        'log_interval': 500,
        'eval_interval': 2_500,
        'standardize_observations': True,
        'standardize_returns': True,
        'network.hidden_sizes': (128, 128),
    },
    # A grid of 17 cells, without chance in judging. Values, these and each algorithm's own, are the
    # first that were tried.
    'crossroads': {
        'dataset': 'local/crossroads/stitch-v0',
        'num_seeds': 10,
        'num_updates': 3_000,
        'batch_size': 128,
        'log_interval': 500,
        'eval_interval': 1_000,
        'eval_episodes': 1,
        'final_eval_episodes': 1,
        'network.hidden_sizes': (64, 64),
    },
}
# D4RL's datasets (Fu et al. 2020, https://arxiv.org/abs/2004.07219) by domain and by its names for them:
# each is a domain too. Of locomotion and antmaze they are those of our recipes; full-replay is D4RL's
# own file, ingested.
D4RL = {
    'mujoco': {
        f'{robot}-{kind}': dataset.format(robot, kind)
        for dataset, kinds in (
            ('local/{}/{}-v0', ('random', 'medium', 'expert', 'medium-replay', 'medium-expert')),
            ('d4rl/{}/{}-v2', ('full-replay',)),
        )
        for robot in ('halfcheetah', 'hopper', 'walker2d')
        for kind in kinds
    },
    'antmaze': {
        f'antmaze-{maze}': f'local/antmaze/{maze}-v0'
        for maze in (
            'umaze', 'umaze-diverse', 'medium-play', 'medium-diverse', 'large-play', 'large-diverse',
        )
    },
    'adroit': {
        f'{task}-{kind}': f'D4RL/{task}/{kind}-v2'
        for task in ('pen', 'door', 'hammer', 'relocate')
        for kind in ('human', 'cloned', 'expert')
    },
    'kitchen': {
        f'kitchen-{kind}': f'D4RL/kitchen/{kind}-v2' for kind in ('complete', 'partial', 'mixed')
    },
}  # fmt: skip
DOMAINS |= {
    name: DOMAINS[domain] | {'dataset': dataset}
    for domain, datasets in D4RL.items()
    for name, dataset in datasets.items()
}

# Four seeds on one of D4RL's locomotion datasets in minutes of two cores, at a plateau of their scores
# (notebooks/results/README.md, A lean protocol). `lean-DATASET` has the values of a dataset, where an
# algorithm has some of its own for it.
LEAN = {
    'num_seeds': 4,
    'num_updates': 300_000,
    'batch_size': 64,
    'log_interval': 5_000,
    'eval_interval': 30_000,
    'eval_episodes': 5,
    'final_eval_episodes': 20,
    'network.hidden_sizes': (128, 128),
}
DOMAINS['lean'] = DOMAINS['mujoco'] | LEAN
DOMAINS |= {f'lean-{name}': DOMAINS[name] | LEAN for name in D4RL['mujoco']}

# The domains with continuous actions, and nothing of an algorithm's own for them.
CONTINUOUS = dict.fromkeys(('mujoco', 'antmaze', 'kitchen', 'adroit', 'pointmaze', 'log'), {})

# Of what configs have online, and not as here, the values that a run without these keys has.
ONLINE = {'dataset': '', 'updates_per_step': 1}

DOMAINS |= _ogbench.DOMAINS | _goals.DOMAINS

# What each key may be (launch/run/ranges.py). The algorithm says it of its hparams and its network.
RANGES = {
    'algorithm': 'text',
    'dataset': 'text',
    'dataset_on': "'device', 'split' or 'host'",
    'seed': 'int [0, 2**32)',
    'num_seeds': 'int [1, 1e5]',
    'num_updates': 'int [1, 2**31)',
    'batch_size': 'int [1, 1e7]',
    'goals': {
        'future': "'', 'geometric' or 'uniform'",
        'current': '[0, 1]',
        'random': '[0, 1]',
        'actor_random': '[0, 1]',
    },
    'n_step': 'int [1, 1e4]',
    'chunk': 'int [1, 1e4]',
    'log_interval': 'int [1, 2**31)',
    'eval_interval': 'int [1, 2**31)',
    'evaluate_in': "'auto', 'environment' or 'log'",
    'env_id': 'text',
    'max_episode_steps': 'int [0, 2**31)',
    'eval_episodes': 'int [1, 1e7]',
    'final_eval_episodes': 'int [1, 1e7]',
    'holdout_fraction': '(0, 1)',
    'ope': {key: valid for key, valid in ope.RANGES.items() if key not in _OF_THE_LOG}
    | {'estimator': 'text'},
    'keep_checkpoints': 'int [1, 1e5]',
    'standardize_observations': 'bool',
    'normalize_rewards': 'bool',
    'standardize_returns': 'bool',
    'reward_scale': '(-inf, 0) or (0, inf)',
    'reward_shift': '(-inf, inf)',
    'cut_at_goal': 'bool',
    'delayed_rewards': 'bool',
    'top_fraction': '(0, 1]',
    'name': 'text',
    'run_dir': 'text',
    'resume': 'bool',
    'extend': 'bool',
    'wandb': 'bool',
}


def get_config(algorithm: str, hparams: dict, network: dict) -> ConfigDict:
    """A complete config but for the domain's own values.

    Args:
        algorithm: a name in algorithms.ALGORITHMS.
        hparams: the algorithm's Hyperparameters by name.
        network: what its init reads from `config`.
    """
    config = ConfigDict()
    config.algorithm = algorithm
    config.dataset = 'local/icu-sepsis/clinician-v0'
    # 'device' keeps the dataset on every accelerator, 'split' a part on each that has members; 'host'
    # streams batches from the memory map.
    config.dataset_on = 'device'

    # Members of the run: seeds seed, ..., seed + num_seeds - 1 for every combination of the values
    # in `sweep`; a name with no values is not swept.
    config.seed = 0
    config.num_seeds = 1
    config.hparams = ConfigDict({name: float(value) for name, value in hparams.items()})
    config.sweep = ConfigDict(dict.fromkeys(hparams, ()))
    config.network = ConfigDict(network)

    config.num_updates = 1_000_000
    config.batch_size = 256
    # Goals that steps are relabelled with (data/goals.py): how far ahead in the episode they are,
    # 'geometric' by gamma or 'uniform', '' for no goals; the shares of those that are the step itself,
    # and any step of the log; and the share of any step among goals of the policy, where it has its own.
    config.goals = ConfigDict({'future': '', 'current': 0.0, 'random': 0.0, 'actor_random': 0.0})
    # Decisions whose rewards a target sums before it bootstraps, or as many as the episode still has.
    # What the policy would have done otherwise on the way is not corrected for, nor is its entropy
    # there, where an algorithm has one in its targets, part of them.
    config.n_step = 1
    # Actions of a decision, which is learned as one and executed without looking (data/decisions.py).
    config.chunk = 1
    config.log_interval = 5_000
    # Evaluation, and a checkpoint after it; a multiple of log_interval.
    config.eval_interval = 50_000
    # 'environment', 'log' for held-out episodes of the dataset, or 'auto': the environment if the
    # dataset names one, else the log.
    config.evaluate_in = 'auto'
    # gymnasium's id of the environment, if not the dataset's own.
    config.env_id = ''
    # Its time limit; 0 for its own, or, without one, the longest episode of the log.
    config.max_episode_steps = 0
    config.eval_episodes = 10
    # The evaluation after the last update, which the summary reports.
    config.final_eval_episodes = 100
    # In the log: the share of its episodes that is held out, by the seed; and how launch.ope's estimates
    # are made on them after the last update (launch/configs/ope.py).
    config.holdout_fraction = 0.2
    config.ope = _estimates(config)
    # The last so many checkpoints stay, for launch.ope to choose among.
    config.keep_checkpoints = 1

    config.standardize_observations = False
    config.normalize_rewards = False
    # Divide rewards by the standard deviation of the episodes' returns.
    config.standardize_returns = False
    config.reward_scale = 1.0
    config.reward_shift = 0.0
    # End episodes, and the environment's, where the goal is reached.
    config.cut_at_goal = False
    # Pay all of an episode's reward at its end.
    config.delayed_rewards = False
    # Train on the episodes of highest return that hold this fraction of the steps.
    config.top_fraction = 1.0

    # As tables and figures print it, if not by the algorithm's own.
    config.name = ''
    # Default: runs/<algorithm>/<dataset>/seed<seed>-<hash of the config>.
    config.run_dir = ''
    config.resume = True
    # Lets the run in run_dir go on to a num_updates that is larger than its own.
    config.extend = False
    config.wandb = False
    return config


def _estimates(config: ConfigDict) -> ConfigDict:
    found = ope.get_config('log')
    for key in _OF_THE_LOG:
        del found[key]
    # The one that ranks.
    found.estimator = 'FQE'
    # They follow, and do not lead.
    found.seed = config.get_oneway_ref('seed')
    if 'gamma' in config.hparams:
        found.hparams.gamma = config.hparams.get_oneway_ref('gamma')
    return found


def lean(own: dict[str, dict], values: dict) -> dict[str, dict]:
    """An algorithm's own values for 'lean', and for 'lean-DATASET' where it has some for a dataset.

    Args:
        own: its values by domain.
        values: of its own for all of them, above LEAN's; LEAN's are above `own`.
    """
    names = {'lean': 'mujoco'} | {f'lean-{name}': name for name in D4RL['mujoco'] if name in own}
    return {
        domain: {key: value for key, value in own[name].items() if key not in LEAN} | values
        for domain, name in names.items()
    }


def select_domain(config: ConfigDict, domain: str, own: dict[str, dict]) -> ConfigDict:
    """Applies a domain's values, and above them the algorithm's own for it.

    Args:
        config: to apply them to.
        domain: a name in `own`.
        own: by domain that the algorithm is for, values such as {'hparams.expectile': 0.9}.

    Raises:
        UnknownDomainError: there is no such domain.
    """
    if domain not in own:
        raise UnknownDomainError(
            f'config {config.algorithm}: unknown domain {domain!r}; '
            f'valid ones: {", ".join(own)}.'
        )
    shared = dict(DOMAINS[domain])
    if 'hidden_sizes' not in config.network:
        shared.pop('network.hidden_sizes', None)
    config.update_from_flattened_dict(shared | own[domain])
    return config
