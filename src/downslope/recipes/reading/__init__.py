"""Reading a recipe out of words: normalised text, numbers, lexicon, items, facts by a small grammar, readings.

The way is one: `text` -> `items` (with `numbers` and the two lexicons) -> facts (`values`, `changes`, `notation`,
`formulas`) -> `schedules` and `assembly` -> `Reading`. Imports nothing right of this room.
"""
