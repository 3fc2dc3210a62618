"""What OGBench's datasets with rewards have in common, whatever the algorithm, as in FQL's paper.

The datasets are OGBench's (Park et al. 2024, https://arxiv.org/abs/2410.20092), the values of five
algorithms on their tasks those of Park, Li & Levine 2025 (https://arxiv.org/abs/2502.02538). Each is a
domain, with the one of its five tasks that values were tuned on; 'ogbench' is the first of them.
"""

# By dataset: the task, and gamma.
DATASETS = {
    'cube-single-play': (2, 0.99),
    'cube-double-play': (2, 0.99),
    'scene-play': (2, 0.99),
    'puzzle-3x3-play': (4, 0.99),
    'puzzle-4x4-play': (4, 0.99),
    'antmaze-large-navigate': (1, 0.99),
    'antmaze-giant-navigate': (1, 0.995),
    'humanoidmaze-medium-navigate': (1, 0.995),
    'humanoidmaze-large-navigate': (1, 0.995),
    'antsoccer-arena-navigate': (4, 0.995),
}


def _with_first(by_dataset: dict[str, dict]) -> dict[str, dict]:
    return {'ogbench': by_dataset[next(iter(DATASETS))]} | by_dataset


DOMAINS = _with_first({
    name: {
        'dataset': f'local/ogbench/{name}-task{task}-v0',
        'eval_interval': 100_000,
        'eval_episodes': 50,
        'final_eval_episodes': 50,
        'network.hidden_sizes': (512, 512, 512, 512),
    }
    for name, (task, _) in DATASETS.items()
})  # fmt: skip


def domains(own: dict[str, dict]) -> dict[str, dict]:
    """An algorithm's values for all of these domains: gamma, and its own by dataset."""
    return _with_first({
        name: {'hparams.gamma': gamma} | own[name] for name, (_, gamma) in DATASETS.items()
    })  # fmt: skip
