"""The model of who collected a log."""

import numpy as np
import pytest

from data import loading
from launch.estimate import behaviour as behaviours
from launch.estimate.fitting import Schedule
from tests.launch.estimate.helpers import SEPSIS, config_for


@pytest.fixture(scope='module')
def records(tmp_path_factory):
    """A few sepsis records."""
    pytest.importorskip('icu_sepsis')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MINARI_DATASETS_PATH', str(tmp_path_factory.mktemp('minari')))
        yield loading.load(SEPSIS)


def test_a_behaviour_model_says_what_the_log_tries(records):
    dataset = records
    model = config_for(SEPSIS).behaviour_model
    learned_from = np.arange(60) % 2 == 0
    found = behaviours.fit(
        dataset, learned_from, model.hparams.to_dict(), model.network,
        Schedule(50, 25, model.batch_size), 0,
    )  # fmt: skip
    steps = dataset.transitions
    everything = np.tile(np.arange(25), (len(steps.action), 1))
    log_probs = np.stack(
        [found.log_probs(steps.observation, column) for column in everything.T], axis=1
    )
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, rtol=1e-4)
    # Better than chance among 25 actions, on what it has not seen.
    unseen = np.repeat(~learned_from, dataset.episode_lengths)
    logged = found.log_probs(steps.observation, steps.action)
    assert logged[unseen].mean() > np.log(1 / 25)
    ratio = np.exp(log_probs - log_probs.max(axis=1, keepdims=True))
    # Not at the border, where rounding decides.
    sure = np.abs(ratio - 0.3) > 1e-3
    tried = found.tried(steps.observation, everything, 0.3)
    np.testing.assert_array_equal(tried[sure], (ratio >= 0.3)[sure])
    assert tried.any() and not tried.all()


def test_a_behaviour_model_stops_when_others_are_predicted_worse(records):
    dataset = records
    model = config_for(SEPSIS).behaviour_model
    hparams = model.hparams.to_dict() | {'learning_rate': 0.03}
    everything = np.ones(60, bool)

    def likelihood(number):
        found = behaviours.fit(
            dataset, everything, hparams, model.network, Schedule(number, 10, 64), 0
        )  # fmt: skip
        unseen = np.zeros(60, bool)
        unseen[4::5] = True
        rows = np.repeat(unseen, dataset.episode_lengths)
        steps = dataset.transitions
        return found.log_probs(steps.observation, steps.action)[rows].mean()

    # For ever, it would learn the other 48 patients by heart.
    assert likelihood(900) > likelihood(30) - 0.5
    assert likelihood(900) > np.log(1 / 25)
