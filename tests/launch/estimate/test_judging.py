"""All that a log says of policies."""

import numpy as np
import pytest

from data import loading
from launch.cli import UserError
from launch.estimate import judging
from tests.launch.estimate.helpers import SEPSIS, config_for, log


def test_the_logs_own_value_is_fitted_to_what_it_did_next(cartpole, monkeypatch):
    dataset = loading.load(cartpole)
    seen = {}

    class Fitted:
        @staticmethod
        def values(observations, actions, resample):
            seen['first'] = observations, actions
            return np.array([[1.0], [3.0]])

    def fit(dataset, next_actions, next_tried, *args):
        seen['next'] = next_actions[:, 0], next_tried
        return Fitted

    monkeypatch.setattr(judging.fitted_q, 'fit', fit)
    assert judging.of_log(dataset, judging.method_of(config_for(cartpole))) == 2.0
    actions, (following, tried) = np.asarray(dataset.transitions.action), seen['next']
    ends = dataset.episode_offsets[1:] - 1
    inside = np.setdiff1d(np.arange(len(actions)), ends)
    np.testing.assert_array_equal(following[inside], actions[inside + 1])
    np.testing.assert_array_equal(following[ends], actions[ends])
    assert tried.all()
    begins = dataset.episode_offsets[:-1]
    np.testing.assert_array_equal(seen['first'][0], dataset.transitions.observation[begins])
    np.testing.assert_array_equal(seen['first'][1][:, 0], actions[begins])


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('behaviour', 'guessed', "valid: 'recorded', 'fitted', 'auto'"),
        ('tried_threshold', 1.0, 'valid: 0 to 1, 1 excluded'),
        ('num_refits', 1, 'valid: 0, and 2 or more'),
        ('log_interval', 30, 'config.num_updates is 40, no multiple of config.log_interval'),
        ('batch_size', 0, 'at least 1'),
        ('behaviour_model.num_updates', 0, 'config.behaviour_model.num_updates is 0; at least 1'),
        ('behaviour_model.batch_size', -1, 'config.behaviour_model.batch_size is -1; at least 1'),
    ],
)
def test_bad_values_are_named(key, value, message):
    with pytest.raises(UserError, match=message):
        judging.method_of(config_for(SEPSIS, **{key: value}))


@pytest.mark.parametrize('discrete', [True, False])
@pytest.mark.parametrize('episodes', [1, 2])
def test_a_model_of_the_only_episode_is_not_used_on_it(monkeypatch, discrete, episodes):
    fitted = []

    class Known:
        @staticmethod
        def log_probs(observations, actions):
            return np.zeros(len(actions))

    def fit(dataset, learned_from, *others):
        fitted.append(learned_from)
        return Known

    monkeypatch.setattr(judging.behaviour, 'fit', fit)
    dataset = log([2] * episodes, [1.0] * 2 * episodes)
    method = judging.method_of(config_for(SEPSIS, behaviour='fitted'))
    found = judging._behind(dataset, method, np.random.default_rng(0), discrete, None)
    # Something is always learned, and of two episodes one is left to judge from.
    assert fitted[0].sum() == 1
    if episodes == 1:
        assert found.behaviour is None
    else:
        np.testing.assert_array_equal(found.behaviour.used, ~fitted[0])
    # What another has fitted to other episodes may be used on any.
    found = judging._behind(dataset, method, np.random.default_rng(0), discrete, Known)
    assert found.behaviour.used.all() and len(fitted) == 1
