"""Offline RL algorithms, one module each; see any of them for the contract they share.

preference_reward learns rewards and no policy: it has no `act`. fqe and importance_sampling judge
policies instead of learning them, and are not in ALGORITHMS.
"""

from types import ModuleType

from algorithms import (
    awac,
    bc,
    bcq,
    cal_ql,
    cpl,
    cql,
    crl,
    decision_transformer,
    discrete_bcq,
    discrete_cql,
    dqn,
    edac,
    fql,
    hiql,
    ifql,
    iq_learn,
    iql,
    preference_reward,
    rebrac,
    sac,
    td3,
    td3_bc,
    xql,
)

ALGORITHMS: dict[str, ModuleType] = {
    'awac': awac,
    'bc': bc,
    'bcq': bcq,
    'cal_ql': cal_ql,
    'cpl': cpl,
    'cql': cql,
    'crl': crl,
    'decision_transformer': decision_transformer,
    'discrete_bcq': discrete_bcq,
    'discrete_cql': discrete_cql,
    'dqn': dqn,
    'edac': edac,
    'fql': fql,
    'hiql': hiql,
    'ifql': ifql,
    'iq_learn': iq_learn,
    'iql': iql,
    'preference_reward': preference_reward,
    'rebrac': rebrac,
    'sac': sac,
    'td3': td3,
    'td3_bc': td3_bc,
    'xql': xql,
}
