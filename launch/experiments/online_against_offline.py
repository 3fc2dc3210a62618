"""The seed statement of the field: SAC, which learns online, fails on the log of its own learning.

    python -m launch.experiments.online_against_offline

The data of both come from policies of the same training; only acting in the environment differs. A step
is an update, online one in the environment too. Online trainings take up to an hour each on one core and
were stopped when their policies were good enough for the datasets; notebooks/results keeps what both
kinds left, and is where they are found.
"""

from pathlib import Path

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import online, sac
from launch.report import figures
from launch.run import metrics

ENVIRONMENTS = ('Hopper-v5', 'HalfCheetah-v5', 'Walker2d-v5')
_NAMES = ('online: the data is what its own actions show', 'offline: on the log of such a training')


def configs(env_id: str) -> tuple[ConfigDict, ConfigDict]:
    """SAC online and offline, with the same values."""
    acting, logged = online.get_config('sac'), sac.get_config('mujoco')
    acting.env_id = env_id
    acting.num_updates, acting.eval_interval = 2_000_000, 40_000
    logged.dataset = f'local/{env_id.partition("-")[0].lower()}/medium-replay-v0'
    logged.num_seeds, logged.num_updates = 2, 60_000
    logged.log_interval, logged.eval_interval = 1_000, 10_000
    logged.eval_episodes, logged.final_eval_episodes = 5, 20
    if env_id == 'Hopper-v5':
        acting.num_updates, acting.eval_interval = 800_000, 20_000
    for config, stage in ((acting, 'online'), (logged, 'offline')):
        if env_id == 'Hopper-v5':
            config.network.hidden_sizes = (128, 128)
        else:
            config.batch_size, config.hparams.critic_learning_rate = 100, 1e-3
            config.hparams.actor_learning_rate = 5e-4
            config.hparams.temperature_learning_rate = 5e-4
        config.run_dir = str(experiments.RESULTS / f'{stage}-sac' / env_id)
    return acting, logged


def main() -> None:
    """Trains what is not there and draws the learning curves."""
    path = experiments.figure('online-against-offline.png')
    curves = {
        env_id: [metrics.curve(experiments.trained(config)) for config in configs(env_id)]
        for env_id in ENVIRONMENTS
    }
    draw(curves, path)
    print(f'Figure: {path}')


def draw(curves: dict[str, list], path: Path) -> None:
    """A panel for each environment: steps and scores online, then offline."""
    figure, axes = figures.panels(1 + 3.2 * len(curves), 3.6, columns=len(curves), sharey=True)
    for panel, (env_id, both) in zip(axes[0], curves.items()):
        for (steps, scores), name, color in zip(both, _NAMES, ('C0', 'C3')):
            figures.range_band(panel, steps / 1_000, scores, name, color)
        figures.references(panel, {'expert': 100, 'random': 0})
        panel.set(title=env_id, xlabel='thousand steps')
    axes[0, 0].set_ylabel('score')
    figures.legend(figure, columns=4)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)
