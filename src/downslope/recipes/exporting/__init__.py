"""Code for other frameworks out of a recipe: one file for each target, and what they share.

The way is one: a recipe becomes a `Plan` (steps, groups), a target's file turns the plan into source, with `source`,
`pieces` and `symbols` at hand. Nothing here imports a framework; what is written is executed in tests.
"""
