"""From a command line to options: what is merged, what is refused."""

from pathlib import Path

import pytest

from treadle_envs.errors import SettingsError
from treadle_envs.flags import app_flags, parse_flags
from treadle_envs.serving import RunMode, RunOptions, options_from_flags


def options(*argv: str) -> RunOptions:
    return options_from_flags(*parse_flags(app_flags("app", "An app."), argv))


def test_no_arguments_serve_with_the_strongest_isolation_there_is() -> None:
    chosen = options()
    assert chosen.mode is RunMode.SERVE
    assert chosen.groups is None
    assert chosen.environment == {"min_isolation": "auto"}
    assert chosen.server == {}


def test_the_mode_may_stand_between_flags() -> None:
    chosen = options("--data", "x.jsonl", "process", "--groups", "2", "--out", "here")
    assert chosen.mode is RunMode.PROCESS
    assert chosen.groups == 2
    assert chosen.out == Path("here")
    assert chosen.environment["dataset_name"] == "x.jsonl"


def test_dotted_settings_are_taken_with_a_space_or_an_equals_sign() -> None:
    chosen = options("--env.group_size", "8", "--openai.timeout=5", "--env.seed=3")
    assert chosen.environment["group_size"] == "8"
    assert chosen.environment["seed"] == "3"
    assert chosen.server == {"timeout": "5"}


def test_a_flag_and_its_dotted_name_may_agree_but_not_contradict() -> None:
    assert options("--model", "m", "--openai.model_name", "m").server == {"model_name": "m"}
    with pytest.raises(SettingsError, match=r"--model m and --openai\.model_name n contradict"):
        options("--model", "m", "--openai.model_name", "n")


@pytest.mark.parametrize("argv", [["train"], ["--groups", "0"]])
def test_an_unknown_mode_or_an_empty_count_is_refused(argv: list[str]) -> None:
    with pytest.raises(SettingsError, match=argv[-1]):
        options(*argv)


def test_an_unknown_flag_ends_with_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options("--grups", "1")
    assert "--grups" in capsys.readouterr().err
