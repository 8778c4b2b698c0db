"""Errors carry an exit status and a cure; the command line shows them in one line."""

import json

import pytest

from rtsr import cli, errors
from rtsr.errors import MissingDependency, RtsrError, SinkError, UsageError, need


def raising(error: Exception):
    """A stand-in for the command line's root that fails with `error`."""

    def fail(args: list[str] | None, prog_name: str, standalone_mode: bool) -> None:
        raise error

    return fail


def test_every_error_is_an_rtsr_error_with_a_status():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 9
    for kind in kinds:
        assert issubclass(kind, RtsrError)
        assert kind.exit_status == (2 if issubclass(kind, UsageError) else 1)


def test_need_returns_the_module():
    assert need("json", "train") is json


def test_need_names_the_line_that_installs():
    with pytest.raises(MissingDependency, match=r"no_such_module.*try: pip install 'rtsr\[train\]'") as caught:
        need("no_such_module", "train")
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize(("error", "status"), [(SinkError("the disk is full"), 1), (UsageError("no such engine"), 2)])
def test_main_prints_one_line_and_exits(monkeypatch, capsys, error, status):
    monkeypatch.delenv("RTSR_DEBUG", raising=False)
    monkeypatch.setattr(cli, "_commands", lambda: raising(error))
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == status
    assert capsys.readouterr() == ("", f"error: {error}\n")


def test_debugging_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("RTSR_DEBUG", "1")
    monkeypatch.setattr(cli, "_commands", lambda: raising(SinkError("the disk is full")))
    with pytest.raises(SinkError):
        cli.main([])


def test_wrong_usage_exits_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["no-such-command"])
    assert caught.value.code == 2
    assert "no-such-command" in capsys.readouterr().err
