"""A PostgreSQL server of a test's own, where it is installed: in a folder of its own, reached by a socket there."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_QUICK = ("fsync=off", "shared_buffers=16MB", "autovacuum=off", "listen_addresses=")


@contextmanager
def server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a server, and yield the URL of its database and its process; the test is skipped where there is none."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb or postgres")
    who = _somebody()
    folder = Path(tempfile.mkdtemp(prefix="downslope-pg-", dir="/tmp"))  # the path of a socket must be short
    if who:
        os.chown(folder, pwd.getpwnam(who["user"]).pw_uid, -1)
    process = None
    try:
        made = ["--auth=trust", "--username=downslope", "--no-sync", "--no-instructions", "--locale=C", "-E", "UTF8"]
        done = subprocess.run([initdb, "-D", folder / "data", *made], capture_output=True, check=False, cwd="/", **who)
        if done.returncode:
            pytest.skip(f"initdb does not work here: {done.stderr.decode(errors='replace').strip()[-200:]}")
        options = [word for option in (*_QUICK, f"unix_socket_directories={folder}") for word in ("-c", option)]
        log = (folder / "log").open("wb")
        process = subprocess.Popen([postgres, "-D", folder / "data", *options], stdout=log, stderr=log, cwd="/", **who)
        while True:
            try:
                psycopg.connect(host=str(folder), user="downslope", dbname="postgres").close()
                break
            except psycopg.OperationalError:
                if process.poll() is not None:
                    pytest.skip(f"postgres does not start here: {(folder / 'log').read_text()[-200:]}")
                time.sleep(0.05)
        yield f"postgresql+psycopg://downslope@/postgres?host={folder}", process
    finally:
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # fast: connections are ended, none is waited for
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str | None:
    """Return where a program is: on the path, or where Debian has it, the newest version."""
    found = shutil.which(name)
    others = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return found or (str(others[-1]) if others else None)


def _somebody() -> dict[str, Any]:
    """Return as whom to run it, which refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
