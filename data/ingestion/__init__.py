"""From tables and recordings on disk to Minari datasets.

A table has a row per decision. `files` reads it in blocks, `cells` makes numbers and codes of what its
columns hold, on disk, `features` and `choices` make observations and actions of those, `episodes` sorts
the rows and ends the episodes, and `tables` is the whole way. `d4rl` is for recordings in D4RL's layout,
`open_bandit` for the logs of a shop that a package ships.
"""
