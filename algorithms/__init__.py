"""Offline RL algorithms, one module each; see any of them for the contract they share.

fqe and importance_sampling judge policies instead of learning them, and are not in ALGORITHMS.
"""

from types import ModuleType

from algorithms import (
    awac,
    bc,
    bcq,
    cal_ql,
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
    iql,
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
    'iql': iql,
    'rebrac': rebrac,
    'sac': sac,
    'td3': td3,
    'td3_bc': td3_bc,
    'xql': xql,
}
