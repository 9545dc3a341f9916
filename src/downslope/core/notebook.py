"""What shows itself in a notebook: by the page that it has elsewhere, which is loaded when it is shown."""

from __future__ import annotations

from typing import Any

from downslope.core.settings import provided


class ShownInNotebooks:
    """A base of what Jupyter shows as HTML, as Markdown where that is wanted, and IPython as text."""

    __slots__ = ()

    def __init_subclass__(cls, **more: Any) -> None:
        """Have each class its own text, which IPython looks for beside the class's own ``__repr__``."""
        super().__init_subclass__(**more)
        cls._repr_pretty_ = ShownInNotebooks._repr_pretty_

    def _repr_html_(self) -> str | None:
        """Return it as HTML without scripts; None where what draws it is not installed: then its text is shown."""
        return provided("show_html")(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001  IPython's own signature
        """Print it as IPython shows it where there is text alone: as the command prints it."""
        printer.text(provided("show_text")(self))

    def _repr_markdown_(self) -> str | None:
        """Return it as Markdown, in short; None where its text says as much."""
        return provided("show_markdown")(self)
