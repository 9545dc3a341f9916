"""A page in a real browser, in windows of several widths."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def ask(page, widths, script, *, dark=False, address=""):
    """Return what a script returns in each window, and what the browser's console said.

    Args:
        page: Path of the page; what the browser needs is written beside it.
        widths: Of the windows, in pixels.
        script: Body of a function of `f`, the frame with the page, `w`, its window, and `page`, its document; may wait.
        dark: Whether the person likes dark pages.
        address: What stands behind the page's name, such as "#zoom=1~2".
    """
    frames = "".join(f'<iframe src="{page.name}{address}" width="{w}" height="900"></iframe>' for w in widths)
    outer = page.with_name("frames.html")
    outer.write_text(
        f"<body>{frames}<pre id=found></pre><script>onload = async () => {{ const found = [];"
        "for (const f of document.querySelectorAll('iframe')) {"
        "const w = f.contentWindow, page = f.contentDocument;"
        f"found.push(await (async () => {{{script}}})()); }}"
        "document.getElementById('found').textContent = JSON.stringify(found) }</script>",
        encoding="utf-8",
    )
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--allow-file-access-from-files", f"--user-data-dir={page.with_name('profile')}", "--virtual-time-budget=5000",
         f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--enable-logging=stderr",
         "--dump-dom", outer.as_uri()],
        capture_output=True, text=True, check=True, timeout=600, encoding="utf-8",
    )  # fmt: skip
    found = html.unescape(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)[1])
    console = re.findall(r':CONSOLE[^"]*"(.*)", source', done.stderr)
    assert found, f"the script failed: {console}"
    return json.loads(found), console


def measure(page, widths, script):
    """Return for each width the width, and the numbers that a script returns as a list; as in `ask`."""
    found, _ = ask(page, widths, script)
    return [[width, *numbers] for width, numbers in zip(widths, found, strict=True)]
