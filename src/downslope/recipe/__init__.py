"""Recipes: a training run as text, decoded strictly and printed back. Imports nothing right of this room."""
