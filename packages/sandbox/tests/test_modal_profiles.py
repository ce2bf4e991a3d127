"""Where the fields of Modal profiles come from."""

import json

import pytest

from treadle_sandbox import ConfigError
from treadle_sandbox.config import ModalConfig
from treadle_sandbox.modal import load_profiles

YAML = """
profiles:
  default: {image: "python:3.12"}
  gpu:
    image: nvidia/cuda:12
    gpu: A100
    cpu: 4
    memory: 16384
    secrets: [hub]
    env: {MODE: fast}
    slots_per_container: 2
    max_containers: 3
    idle_timeout: 60
    max_lifetime: 1800
"""
TOML = '[profiles.gpu]\nimage = "nvidia/cuda:12"\ngpu = "A100"\n'


def test_a_file_sets_the_fields_of_each_profile(tmp_path):
    file = tmp_path / "profiles.yaml"
    file.write_text(YAML)
    profiles = load_profiles(file)
    gpu = profiles["gpu"]
    assert (gpu.profile, gpu.image, gpu.gpu) == ("gpu", "nvidia/cuda:12", "A100")
    assert (gpu.cpu, gpu.memory, gpu.secrets) == (4.0, 16384, ("hub",))
    assert (gpu.env, gpu.slots_per_container) == ({"MODE": "fast"}, 2)
    assert (gpu.idle_timeout, gpu.max_lifetime) == (60.0, 1800.0)
    assert profiles["default"].image == "python:3.12"


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_other_formats_say_the_same(tmp_path, suffix):
    table = {"profiles": {"gpu": {"image": "nvidia/cuda:12", "gpu": "A100"}}}
    file = tmp_path / f"profiles.{suffix}"
    file.write_text(TOML if suffix == "toml" else json.dumps(table))
    assert load_profiles(file)["gpu"].gpu == "A100"


def test_the_file_comes_before_variables_and_own_ones_before_common_ones(tmp_path):
    file = tmp_path / "profiles.yaml"
    file.write_text(YAML)
    variables = {
        "TREADLE_MODAL_PROFILE_GPU_IMAGE": "ignored",
        "TREADLE_MODAL_PROFILE_GPU_WORKDIR": "/work",
        "TREADLE_MODAL_MIN_CONTAINERS": "2",
        "TREADLE_MODAL_PROFILE_GPU_MIN_CONTAINERS": "3",
        "TREADLE_MODAL_PROFILE_BIG_BOX_SECRETS": "one, two",
        "TREADLE_MODAL_PROFILE_BIG_BOX_ENV": "A=1;B=x=y",
        "PATH": "/bin",
    }
    profiles = load_profiles(file, variables=variables, base=ModalConfig(name="mine"))
    gpu, box = profiles["gpu"], profiles["big-box"]
    assert (gpu.image, gpu.workdir, gpu.min_containers) == ("nvidia/cuda:12", "/work", 3)
    assert (box.secrets, box.env) == (("one", "two"), {"A": "1", "B": "x=y"})
    assert (box.min_containers, box.name) == (2, "mine")


def test_without_a_source_there_is_the_default():
    assert load_profiles() == {"default": ModalConfig()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profiles: {gpu: {max_pool: 3}}", "max_pool.*did you mean"),
        ("profiles: {gpu: {idle_timeouts: 3}}", "did you mean idle_timeout"),
        ("profiles: {gpu: {cpu: many}}", "cpu is 'many'"),
        ("profiles: {gpu: 3}", "no table of fields"),
        ("other: 1", "no table `profiles`"),
        ("a: [", "can't be read"),
    ],
)
def test_what_can_not_be_meant_is_refused(tmp_path, text, said):
    file = tmp_path / "profiles.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_profiles(file)


def test_a_variable_without_a_field_is_refused():
    with pytest.raises(ConfigError, match="names no field"):
        load_profiles(variables={"TREADLE_MODAL_PROFILE_GPU_COLOUR": "red"})
