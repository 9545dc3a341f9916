"""What shows itself in a notebook: by the page that it has elsewhere, which is loaded when it is shown."""

from __future__ import annotations

from downslope.core.settings import provided


class ShownInNotebooks:
    """A base of what Jupyter shows as HTML, and as Markdown where that is wanted."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """Return it as HTML without scripts; None where what draws it is not installed: then its text is shown."""
        return provided("show_html")(self)

    def _repr_markdown_(self) -> str | None:
        """Return it as Markdown, in short; None where its text says as much."""
        return provided("show_markdown")(self)
