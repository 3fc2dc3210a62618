"""OGBench's datasets (Park et al. 2024, https://arxiv.org/abs/2410.20092) towards goals, as domains."""

# Policies are told which of their environment's five tasks to solve, which an evaluation takes
# in turn; in the last one 50 episodes of each, as in OGBench's appendix.
_FIRST = 'pointmaze-medium-navigate'
GOALS = {'goals': _FIRST} | {
    f'goals-{name}': name
    for name in (
        _FIRST, 'pointmaze-large-navigate', 'antmaze-medium-navigate', 'antmaze-large-navigate',
        'cube-single-play', 'cube-double-play', 'scene-play', 'puzzle-3x3-play',
    )
}  # fmt: skip
DOMAINS = {
    domain: {
        'dataset': f'local/ogbench/{name}-v0',
        'batch_size': 1024,
        'eval_interval': 100_000,
        'eval_episodes': 50,
        'final_eval_episodes': 250,
        'network.hidden_sizes': (512, 512, 512),
    }
    for domain, name in GOALS.items()
}
