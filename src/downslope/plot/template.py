"""Pages out of templates: what every page shares."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from typing import Any

from downslope import __version__
from downslope.core.errors import MissingDependencyError
from downslope.plot.spoken_page import in_spoken_language


def render_page(template: str, **values: Any) -> str:
    """Return a page as HTML, in the language that is spoken.

    Args:
        template: Its path within the package.
        **values: What it shows, besides the version.

    Raises:
        MissingDependencyError: If jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise MissingDependencyError('a page needs jinja2. Install it with: pip install "downslope[plot]"') from None
    text = _environment().get_template(template).render(version=__version__, **values)
    return in_spoken_language(re.sub(r"\n\s*\n+", "\n", text))


def policy_of(script: str = "", *, pictures: bool = True) -> str:
    """Return a page's policy: nothing from elsewhere, its own style, and one script alone, or none.

    Args:
        script: The script as it stands on the page, between its tags.
        pictures: Whether the page may hold pictures, as data.

    Example:
        >>> policy_of()
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    """
    parts = ["default-src 'none'", *(["img-src data:"] if pictures else []), "style-src 'unsafe-inline'"]
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        parts.append(f"script-src 'sha256-{digest}'")
    return "; ".join(parts)


@functools.cache
def _environment() -> Any:
    """Return what compiles templates, and keeps what it compiled."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("downslope", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
