"""Offline RL algorithms, one module each; see any of them for the contract they share."""

from types import ModuleType

from algorithms import bc, iql

ALGORITHMS: dict[str, ModuleType] = {
    'bc': bc,
    'iql': iql,
}
