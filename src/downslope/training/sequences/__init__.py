"""Sequences to sequences: symbols, objective, search, and what a model writes."""
