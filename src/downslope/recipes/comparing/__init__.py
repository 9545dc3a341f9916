"""Two ways of training held against each other: what they are, where their rules part, and why.

The way is one: `sides` turns what a person wrote into settings, `parting` walks both rules along their schedules,
`causes` finds the fields at fault, `advice` says what would make them equal.
"""
