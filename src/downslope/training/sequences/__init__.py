"""Sequences to sequences: symbols, objective, search and what a model says about single sequences.

What lives here: what is peculiar to tasks whose answers are sequences. What does not: the model
(`models/seq2seq.py`) and the data sets (`data/cmudict.py`, `data/rearranged.py`).
"""
