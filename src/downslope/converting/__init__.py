"""Optimizer state carried from one framework to another, by names, numbers and NumPy arrays alone.

Files that need a framework to be read are read in that framework's package: `torch/state_files.py`,
`jax/state_files.py`.
"""
