"""Optimizer state carried from one framework to another, by names, numbers and NumPy arrays alone.

Files that need a framework to be read are its front door's: `torch/state_files.py`, `jax/state_files.py`.
"""
