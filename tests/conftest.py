"""Settings of every test: hypothesis draws the same cases each time, except by night (`draws.py`)."""

from __future__ import annotations

import hypothesis

from draws import NIGHTLY

hypothesis.settings.register_profile("every day", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("nightly", deadline=None, print_blob=True)
hypothesis.settings.load_profile("nightly" if NIGHTLY else "every day")
