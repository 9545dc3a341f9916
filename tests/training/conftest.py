"""What the tests of training share."""

from drawn_once import equal_panels_are_drawn_once  # noqa: F401  a fixture
