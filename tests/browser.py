"""A page in a real browser, in windows of several widths."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def measure(page, widths, script):
    """Return for each width the width, and the numbers that a script returns as a list.

    Args:
        page: Path of the page; what the browser needs is written beside it.
        widths: Of the windows, in pixels.
        script: Body of a function of `f`, the frame with the page, and `page`, its document.
    """
    frames = "".join(f'<iframe id="w{w}" src="{page.name}" width="{w}" height="900"></iframe>' for w in widths)
    outer = page.with_name("frames.html")
    outer.write_text(
        f"<body>{frames}<pre id=found></pre><script>onload = () => {{"
        "found.textContent = [...document.querySelectorAll('iframe')].map(f => [f.width, ...((f, page) => {"
        f"{script}}})(f, f.contentDocument)].join(':')).join(' ') }}</script>",
        encoding="utf-8",
    )
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--allow-file-access-from-files", f"--user-data-dir={page.with_name('profile')}", "--virtual-time-budget=5000",
         "--dump-dom", outer.as_uri()],
        capture_output=True, text=True, check=True, timeout=120, encoding="utf-8",
    )  # fmt: skip
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout)[1].split()
    return [list(map(json.loads, one.split(":"))) for one in found]
