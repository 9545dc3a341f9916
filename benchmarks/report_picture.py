"""docs/images/report.png: the report of the default recipe, trained anew and photographed by a headless browser.

python benchmarks/report_picture.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURE = Path(__file__).parents[1] / "docs/images/report.png"
WIDTH, HEIGHT = 1150, 880  # down to the foot of the first row of curves


def main() -> None:
    """Train into a folder that goes again, and write the picture."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("report_picture: needs chromium or google-chrome on PATH")
    with tempfile.TemporaryDirectory() as folder:
        train = [sys.executable, "-m", "downslope", "train", "digits", "--quiet", "--out", "runs/digits"]
        subprocess.run(train, check=True, cwd=folder)  # noqa: S603 - our own command
        page = Path(folder, "runs/digits/report.html")
        photograph = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(
                f"--user-data-dir={folder}/profile",
                f"--window-size={WIDTH},{HEIGHT}",
                "--force-device-scale-factor=1.5",
            ),
            *(f"--screenshot={PICTURE}", page.as_uri()),
        ]
        subprocess.run(photograph, check=True, timeout=120)  # noqa: S603 - the browser that was found
    with Image.open(PICTURE) as picture:
        picture.convert("RGB").quantize(64).save(PICTURE, optimize=True)  # a third of the bytes
    print(PICTURE)


if __name__ == "__main__":
    main()
