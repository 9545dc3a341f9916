"""The server: the tools over standard input and output, by the official SDK of the Model Context Protocol."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from downslope import __version__
from downslope.core.errors import DownslopeError, MissingDependencyError
from downslope.core.shown import printable

INSTRUCTIONS = (
    "Downslope knows SGD with momentum and weight decay: what a paper or script says about it, what the numbers mean, "
    "whether two ways of writing it are the same rule, and how other frameworks write it. Its answers are computed, "
    "with the words, equations and sources that they rest on; quote these. A value called assumed is not in the text."
)


def serve(root: Path | None = None) -> None:
    """Answer on standard input and output until it ends.

    Args:
        root: The folder below which files may be read; None for no files at all.

    Raises:
        MissingDependencyError: If the SDK is not installed.
    """
    make_server(root).run("stdio")


def make_server(root: Path | None = None) -> Any:
    """Return the server; arguments as of `serve`."""
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.types import ToolAnnotations
    except ImportError:
        raise MissingDependencyError(
            'the server needs the package mcp, 2.0 or newer. Install it with: pip install "downslope[mcp]"'
        ) from None
    from downslope.assistants.tools import Tools

    def tool_of(method: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        @functools.wraps(method)
        def answer(*args: Any, **given: Any) -> dict[str, Any]:
            try:
                return method(*args, **given)
            except DownslopeError as error:
                raise ToolError(printable(str(error))) from None

        return answer

    server = MCPServer("downslope", version=__version__, instructions=INSTRUCTIONS, log_level="ERROR")
    tools = Tools(root)
    looks = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    for name in ("read", "check", "explain", "compare", "export", "audit", "rescale"):
        method = getattr(tools, name)
        server.add_tool(tool_of(method), name=name, description=inspect.getdoc(method), annotations=looks)
    return server
