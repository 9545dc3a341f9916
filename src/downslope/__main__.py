"""``python -m downslope``: the same as the command ``downslope``."""

import sys

from downslope.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
