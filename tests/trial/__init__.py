"""The trial: mutated inputs and kills, in child processes with limits, and the table of outcomes.

`python tests/trial --help` says how to run it; `tests/test_trial.py` runs it and checks the table.

A kind (`kind.py`) is what one row of the table tries: it writes valid files once, and for each case it copies
them, mutates one, and says which commands run and what is right afterwards. The kinds are in `videos.py`,
`annotations.py`, `entries.py`, `bundles.py`, `runs.py` and `configs.py`; kills are in `kills.py`.
`mutations.py` changes bytes and values, `file_types.py` takes files apart and puts them together again,
`children.py` runs a command in a child, `judging.py` finds what is wrong afterwards, `table.py` counts.
"""
