"""Configurations, and what is made of them."""

import argparse
from pathlib import Path

import pytest

from treadle_sandbox import Limits, LocalBackend, errors
from treadle_sandbox.cli.serve import add_arguments
from treadle_sandbox.config import (
    DockerConfig,
    LocalConfig,
    ModalConfig,
    NomadConfig,
    PoolConfig,
    ProcessConfig,
    SingularityConfig,
    backend_from_config,
)
from treadle_sandbox.pool import server_options
from treadle_sandbox.settings import read_config


def test_the_defaults_are_those_of_the_earlier_system():
    for config in (DockerConfig(), SingularityConfig(), NomadConfig(), ModalConfig()):
        assert (config.slots_per_container, config.min_containers) == (10, 1)
        assert config.command_timeout == 30
    assert DockerConfig().max_containers == NomadConfig().max_containers == 10
    assert DockerConfig().acquire_timeout == 30
    assert (NomadConfig().cpu, NomadConfig().memory) == (500, 512)
    assert (ModalConfig().idle_timeout, ModalConfig().max_lifetime) == (120, 3600)


def test_a_mapping_becomes_a_typed_configuration():
    config = read_config(
        {
            "backend": "docker",
            "image": "a:b",
            "network": ["pypi.org:443"],
            "limits": {"processes": 9},
            "dockerfile": "some/Dockerfile",
            "cpus": 2,
            "slots_per_sandbox": 3,
            "env_vars": {"A": "1"},
        }
    )
    assert config == DockerConfig(
        image="a:b",
        network=("pypi.org:443",),
        limits=Limits(processes=9),
        dockerfile=Path("some/Dockerfile"),
        cpus=2.0,
        slots_per_container=3,
        env={"A": "1"},
    )


def test_a_profile_replaces_settings():
    settings = {
        "backend": "modal",
        "cpu": 2,
        "profiles": {"large": {"memory": 9000, "gpu": "T4"}, "small": {}},
        "profile": "large",
    }
    assert read_config(settings) == ModalConfig(cpu=2.0, memory=9000, gpu="T4", profile="large")
    with pytest.raises(errors.ConfigError, match="did you mean large"):
        read_config({**settings, "profile": "lage"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "backend: None isn't one of local"),
        ({"backend": "dokcer"}, "isn't one of local"),
        ({"backend": "docker", "slots_per_contaner": 1}, "did you mean slots_per_container"),
        ({"backend": "local", "image": "x"}, "'image' is no setting of the backend 'local'"),
        ({"backend": "docker", "slots_per_container": "ten"}, "slots_per_container: 'ten'"),
        ({"backend": "docker", "slots_per_container": True}, "slots_per_container: True"),
        ({"backend": "docker", "slots_per_container": 0}, "slots_per_container is 0"),
        ({"backend": "docker", "max_containers": 1, "max_sandboxes": 2}, "are the same setting"),
        ({"backend": "docker", "min_containers": 4, "max_containers": 2}, "above max_containers"),
        ({"backend": "docker", "quarantine_after": 9}, "above remove_after"),
        ({"backend": "docker", "idle_exit": 9}, "twice that or more"),
        ({"backend": "docker", "pull": "often"}, "pull is 'often'"),
        ({"backend": "docker", "network": ["pypi.org"]}, "network: "),
        ({"backend": "docker", "limits": {"proceses": 1}}, "did you mean processes"),
        ({"backend": "docker", "limits": {"processes": "1"}}, "limits.processes"),
        ({"backend": "docker", "min_isolation": "total"}, "isolation level 'total'"),
        ({"backend": "docker", "name": "A pool"}, "name: 'A pool'"),
        ({"backend": "docker", "env": {"A": 1}}, "env: 1"),
        ({"backend": "nomad", "driver": "singularity"}, "give singularity_image"),
        ({"backend": "nomad", "singularity_image": "x.sif"}, "but driver is 'docker'"),
        ({"backend": "modal", "token_id": "x"}, "belong together"),
        ({"backend": "modal", "max_lifetime": 60}, "not below max_lifetime"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(errors.ConfigError, match=message):
        read_config(settings)


def test_secrets_are_not_shown():
    config = ModalConfig(secret="0123456789abcdef", token_id="i", token_secret="sesame")
    assert "sesame" not in repr(config)
    assert "0123456789abcdef" not in repr(config)
    assert "sesame" not in repr(NomadConfig(token="sesame"))


def test_the_local_backend_is_made():
    assert isinstance(backend_from_config({"backend": "local", "slots": 2}), LocalBackend)
    config = LocalConfig(min_isolation="auto", network=("*.a.org:443", "10.0.0.0/8:80"))
    assert isinstance(backend_from_config(config), LocalBackend)


def test_every_pool_configuration_has_checks():
    for kind in (ProcessConfig, DockerConfig, SingularityConfig, NomadConfig, ModalConfig):
        assert issubclass(kind, PoolConfig)
        with pytest.raises(errors.ConfigError, match="idle_exit"):
            kind(idle_exit=-1)


def test_servers_are_told_what_the_configuration_says():
    config = ProcessConfig(
        slots_per_container=3,
        min_isolation="auto",
        network=("a.org:443", "b.org:80"),
        allow_root=True,
        limits=Limits(processes=9, slot_cpus=0.5),
        env={"B": "2", "A": "x y"},
        lease_lifetime=5,
        idle_exit=0,
    )
    options = (*server_options(config), "--port", "0")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    read = parser.parse_args(options)
    assert (read.slots, read.min_isolation, read.lifetime, read.idle_exit) == (3, "auto", 5, None)
    assert (read.network, read.allow_root) == ("a.org:443,b.org:80", True)
    assert sorted(read.limit) == ["processes=9", "slot_cpus=0.5"]
    assert read.env == ["A=x y", "B=2"]
    parser.parse_args(server_options(DockerConfig()))
