"""Where the model server's settings come from."""

from pathlib import Path

import pytest

from treadle_envs.errors import SettingsError
from treadle_envs.settings import ModelSettings, api_root, read_env_file, read_model_settings


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path):
    env_file = tmp_path / ".env"
    env_file.write_text(
        "ATROPOS_SERVER_BASE_URL=http://file:1/v1\nATROPOS_SERVER_MODEL=file\n"
        "ATROPOS_SERVER_API_KEY=file-key\n"
    )
    environ = {"ATROPOS_SERVER_BASE_URL": "http://env:2/v1", "ATROPOS_SERVER_MODEL": "env"}
    settings = read_model_settings(model="flag", environ=environ, env_file=env_file)
    assert settings == ModelSettings(
        base_url="http://env:2/v1", model="flag", api_key="file-key", tokenizer=None
    )


def test_nothing_set_is_none_and_empty_counts_as_not_set(tmp_path: Path):
    settings = read_model_settings(
        environ={"ATROPOS_SERVER_MODEL": " "}, env_file=tmp_path / "missing"
    )
    assert settings == ModelSettings()


def test_the_api_key_is_not_shown():
    assert "hunter2" not in repr(ModelSettings(api_key="hunter2"))


@pytest.mark.parametrize(
    ("content", "line"),
    [("A=1\nthis is no setting\nB=2\n", 2), ('A=1\n\n\nB="unclosed\n', 4), ("=5\n", 1)],
)
def test_a_malformed_env_file_is_one_error_with_its_line(tmp_path: Path, content: str, line: int):
    path = tmp_path / ".env"
    path.write_text(content)
    with pytest.raises(SettingsError, match=f"line {line}:") as caught:
        read_env_file(path)
    assert "\n" not in str(caught.value)


def test_a_malformed_line_does_not_give_its_value_away(tmp_path: Path):
    path = tmp_path / ".env"
    path.write_text('KEY="sk-secret\n')
    with pytest.raises(SettingsError) as caught:
        read_env_file(path)
    assert "sk-secret" not in str(caught.value)


def test_comments_quotes_and_exports_are_understood(tmp_path: Path):
    path = tmp_path / ".env"
    path.write_text("# a comment\n\nexport A='one two'\nB=3 # three\nC\n")
    assert read_env_file(path) == {"A": "one two", "B": "3", "C": ""}


def test_an_unreadable_env_file_is_one_error(tmp_path: Path):
    with pytest.raises(SettingsError, match="can't be read"):
        read_env_file(tmp_path)


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://host:8000", "http://host:8000/v1"),
        ("http://host:8000/", "http://host:8000/v1"),
        ("https://host/v1/", "https://host/v1"),
        ("https://host/api/openai", "https://host/api/openai"),
    ],
)
def test_a_bare_host_gets_v1(url: str, root: str):
    assert api_root(url) == root


@pytest.mark.parametrize("url", ["host:8000", "ftp://host", "http://", "http:///v1"])
def test_what_is_no_http_url_is_refused(url: str):
    with pytest.raises(SettingsError, match="base URL"):
        api_root(url)
