"""A page to learn by: sliders for the numbers of SGD, and what the rule makes of them, computed in the browser."""

from downslope.lab.begin import Beginning, begin_with
from downslope.lab.page import render, write_page

__all__ = ["Beginning", "begin_with", "render", "write_page"]
