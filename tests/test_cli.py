"""The command line: spelling, help, and commands that bring no heavy import."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

from motionlang_pl.cli import LIGHTNING, TOOLS, _spelled, main


def test_a_list_may_be_given_as_several_words() -> None:
    words = ["humanml3d", "--raw", "R", "--features", "joints", "humanml3d", "--out", "S"]
    assert _spelled(words) == ["humanml3d", "--raw", "R", "--features=[joints,humanml3d]", "--out", "S"]
    assert _spelled(["--features", "[joints,humanml3d]"]) == ["--features=[joints,humanml3d]"]


def test_a_switch_needs_no_value_and_hyphens_are_underscores() -> None:
    assert _spelled(["--allow-skips", "--out", "S"]) == ["--allow_skips=true", "--out", "S"]
    assert _spelled(["--allow_skips", "false"]) == ["--allow_skips", "false"]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    assert all(command in text.split() or f"{command}," in text or f"{command})" in text for command in TOOLS)
    assert all(command in text for command in LIGHTNING)


def test_help_imports_neither_torch_nor_lightning() -> None:
    code = "import sys; from motionlang_pl.cli import main; main(['--help']); assert not {'torch', 'lightning'} & {*sys.modules}"  # noqa: E501
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("tool", TOOLS)
def test_every_command_has_a_help(tool: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([tool, "--help"])
    assert exit_.value.code == 0 and "usage: motionlang" in capsys.readouterr().out


def test_an_unknown_option_is_refused_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", "--checkpont", "x"])
    line = capsys.readouterr().err
    assert exit_.value.code == 2 and line.startswith("motionlang: error: ") and line.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--data.loader", "Nope", "data.loader: Nope is none of Loader, null; `motionlang fit --help`"),
        ("--model.init_args.frame_strid", "3", "'frame_strid' is not accepted; `motionlang fit --help`"),
        ("--model.init_args.queue.size", "0", "size and terms must be at least 1"),
        ("--model.init_args.start_share", "50", "start_share 50: it is a share"),
        ("--trainer.accelerator", "cuda:0", "--trainer: "),
        ("--trainer.devices", "x,y", "--trainer: `devices` selected with `CPUAccelerator` should be an int > 0"),
    ],
)
def test_a_wrong_value_of_a_fit_is_named_on_one_line(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", "stages/lexcmlp.yaml", "--data.store=x", "--trainer.accelerator=cpu", option, value])
    error = exit_.value.code if isinstance(exit_.value.code, str) else capsys.readouterr().err.strip()
    assert said in error and error.count("\n") == 0
