"""A secret is named, read when it is needed, and shown nowhere."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import pytest

from otel_monitor.channels.secret import PlainUrl, Secret, SecretError, redacted_url, without


def test_it_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variable, file = Secret("env:THE_SECRET"), Secret(f"file:{tmp_path / 'secret'}")
    monkeypatch.setenv("THE_SECRET", "one")
    (tmp_path / "secret").write_text("two\n")
    assert (variable.reveal(), file.reveal()) == ("one", "two")
    (tmp_path / "secret").write_text("three\r\n")
    assert file.reveal() == "three"


def test_only_the_reference_is_shown_copied_and_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_SECRET", "s3cret")
    secret = Secret("env:THE_SECRET", "channels.a.b")
    secret.reveal()
    for shown in (repr(secret), str(secret), repr(pickle.dumps(secret)), repr(copy.deepcopy(secret))):
        assert "s3cret" not in shown
    assert pickle.loads(pickle.dumps(secret)) == secret


@pytest.mark.parametrize("text", ["env:", "env:1A", "env:A B", "ENV:A", "file:", "s3cret", "https://x", ""])
def test_what_is_no_reference_is_none(text: str) -> None:
    assert not Secret.is_reference(text)


def test_what_cannot_be_had_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("LINES", "a\nb")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    expected = {
        "env:NOT_SET": "is not set in the environment of this process",
        "env:EMPTY": "is empty",
        "env:LINES": "has more than one line: a secret is one line of text",
        f"file:{tmp_path}/none": "cannot be read: No such file or directory",
        f"file:{tmp_path}/pipe": "is not a regular file",
        f"file:{tmp_path}": "cannot be read: Is a directory",
        f"file:{tmp_path}/binary": "is not UTF-8 text",
        f"file:{tmp_path}/large": "is larger than 65536 bytes",
    }
    for reference, what in expected.items():
        with pytest.raises(SecretError) as caught:
            Secret(reference, "channels.a.b").reveal()
        assert str(caught.value) == f"channels.a.b: {reference} {what}"


def test_a_url_shows_neither_user_nor_values() -> None:
    assert redacted_url("https://u:p@host:8/path?a=1&b=2#f") == "https://host:8/path?a=***&b=***"
    assert redacted_url("http://[::1]:80/") == "http://[::1]:80/"
    assert redacted_url("http://[") == "***"
    assert (
        f"{PlainUrl('https://h/?t=x')} {PlainUrl('https://h/?t=x')!r}" == "https://h/?t=*** PlainUrl(https://h/?t=***)"
    )


def test_every_occurrence_of_a_secret_is_hidden_the_longest_first() -> None:
    assert without("abcd abcdef abc", ["abcd", "abcdef", "abc", ""]) == "*** *** abc"
