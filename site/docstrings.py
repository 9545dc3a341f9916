"""Docstrings as the reference shows them: an `Example:` is code with its output, as `Examples:` is to griffe."""

import re

import griffe


class Examples(griffe.Extension):
    """Makes of each section `Example:` one that griffe lays out as code."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Rename the section before anything has parsed it."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
