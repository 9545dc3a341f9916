"""A process for one backend of Keras, as `test_every_backend.py` starts it, has the framework of that backend alone."""

from __future__ import annotations

import os
import sys

if os.environ.get("DOWNSLOPE_ALONE") == "1" and os.environ.get("KERAS_BACKEND") != "tensorflow":
    # where TensorFlow is installed, Keras imports it to ask whether data are its own, which takes seconds
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
