"""SAC-N: EDAC without its diversity, and as many critics as it takes instead.

Values are of the same sources as EDAC's.
"""

from ml_collections import ConfigDict

from launch.configs import edac

_NUM_CRITICS = {
    'antmaze': 25,
    'pointmaze': 50,
    'log': 50,
    'hopper-random': 500,
    'hopper-medium': 500,
    'hopper-expert': 500,
    'hopper-medium-expert': 200,
    'hopper-medium-replay': 200,
    'hopper-full-replay': 200,
    'walker2d-expert': 100,
}
# Of the rest, by the first word of their names.
_OTHERS = {'mujoco': 500, 'halfcheetah': 10, 'walker2d': 20} | dict.fromkeys(
    ('adroit', 'kitchen', 'pen', 'door', 'hammer', 'relocate'), 100
)

DOMAINS = {
    domain: values
    | {
        'hparams.eta': 0.0,
        'network.num_critics': _NUM_CRITICS.get(domain) or _OTHERS[domain.split('-')[0]],
    }
    for domain, values in edac.DOMAINS.items()
}


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """SAC-N on EDAC's domains."""
    config = edac.get_config(domain)
    config.update_from_flattened_dict(DOMAINS[domain])
    config.name = 'SAC-N'
    return config
