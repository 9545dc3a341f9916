"""Paths as a person writes them: homes are expanded, once, and nothing else is."""

import os
import pwd
from pathlib import Path

import pytest

from downslope.core.errors import DataError, DownslopeError
from downslope.core.paths import expand_home, expansion_of, from_here


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Work in a folder of a home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


def test_homes_are_expanded(home):
    """`~` is $HOME and `~user` that user's home; elsewhere in a path the sign means nothing."""
    me = pwd.getpwuid(os.getuid())
    assert expand_home("~") == home
    assert expand_home("~/a/b.csv") == home / "a/b.csv"
    assert expand_home(Path("~/a")) == home / "a"
    assert expand_home(f"~{me.pw_name}/a") == Path(me.pw_dir, "a")
    for plain in ("a/b.csv", "/a/~/b", "a~", "a/~b", "."):
        assert expand_home(plain) == Path(plain)


def test_a_name_that_begins_with_the_sign_stays_a_name(home):
    """`./~x` is no home, also when what came of it is expanded again."""
    found = expand_home("./~x/y")
    assert found == home / "work/~x/y"
    assert expand_home(found) == found


def test_an_empty_path_is_an_error():
    """An option left empty, as by a variable of the shell that is not set, is not the current directory."""
    with pytest.raises(DownslopeError, match=r"^--checkpoint is empty\. Give a file or folder"):
        expand_home("", DownslopeError, "--checkpoint")
    with pytest.raises(DownslopeError, match=r"^the path is empty"):
        expand_home("  ")


def test_what_is_expanded_twice_is_expanded_once(monkeypatch):
    """A home that is itself called `~` is not looked into for another one."""
    monkeypatch.setenv("HOME", "/~odd")
    assert expand_home(expand_home("~/a")) == Path("/~odd/a")


def test_an_unknown_user_is_an_error():
    """Never a folder called ~name; the message says where the path stands and how to mean one."""
    with pytest.raises(DownslopeError) as caught:
        expand_home("~no-such-user/a")
    assert str(caught.value) == (
        "~no-such-user/a: begins with `~`, which stands for a home, but there is no user `no-such-user`. "
        "For a file or folder of this name, write ./~no-such-user/a."
    )
    with pytest.raises(DataError, match=r"^data\.options\.path = '~no-such-user': begins"):
        expand_home("~no-such-user", DataError, "data.options.path")


def test_messages_show_what_a_path_became(home):
    """Only where it is something else; and a relative one says where it starts."""
    assert expansion_of("~/a") == f" ({home}/a)"
    assert expansion_of("a") == expansion_of(Path("/a")) == ""
    assert from_here(Path("/a")) == ""
    assert from_here(Path("a")) == f" It is looked for from the current directory, {home}/work."
