"""The Nomad job of one sandbox server: one job for each, so that ending one ends that one alone.

Meta names the pool and the server for recovery. The token is in neither meta nor the job's text: a
template takes it from the Nomad variable of the job into the task's environment. The port is
dynamic for both drivers, so many servers fit on a node. Nomad restarts a server that dies, and
doesn't reschedule it: its leases are lost with it, and the pool makes another.
"""

from typing import Any, NamedTuple

from treadle_sandbox.config import NomadConfig
from treadle_sandbox.pool.command import TOKEN_VARIABLE, server_options

GROUP, TASK, PORT_LABEL = "sandbox", "sandbox-server", "http"
INNER_PORT = 8642
POOL_META, SERVER_META = "treadle_pool", "treadle_server"


class _Driver(NamedTuple):
    name: str
    settings: dict[str, Any]


_NANOSECONDS = 1_000_000_000
_SECURITY = ("seccomp=unconfined", "systempaths=unconfined", "apparmor=unconfined")


def job_id(config: NomadConfig, name: str) -> str:
    """Return the id of a server's job."""
    return name if config.job_id is None else f"{config.job_id}-{name}"


def variable_path(config: NomadConfig, name: str) -> str:
    """Return the path of the variable that only a server's job may read."""
    return f"nomad/jobs/{job_id(config, name)}"


def build_job(config: NomadConfig, name: str) -> dict[str, Any]:
    """Return the job of a server, as Nomad's API takes it."""
    job: dict[str, Any] = {
        "ID": job_id(config, name),
        "Name": job_id(config, name),
        "Type": "service",
        "Namespace": config.namespace,
        "Datacenters": list(config.datacenters),
        "Meta": {POOL_META: config.name, SERVER_META: name},
        "Constraints": [
            {"LTarget": attribute, "RTarget": value, "Operand": "="}
            for attribute, value in sorted(config.constraints.items())
        ],
        "TaskGroups": [_group(config, name)],
    }
    if config.region is not None:
        job["Region"] = config.region
    return job


def _group(config: NomadConfig, name: str) -> dict[str, Any]:
    port: dict[str, Any] = {"Label": PORT_LABEL}
    if config.driver == "docker":
        port["To"] = INNER_PORT
    return {
        "Name": GROUP,
        "Count": 1,
        "Networks": [{"DynamicPorts": [port]}],
        "RestartPolicy": {
            "Attempts": config.restart_attempts,
            "Interval": int(config.restart_interval * _NANOSECONDS),
            "Delay": int(config.restart_delay * _NANOSECONDS),
            "Mode": "fail",
        },
        "ReschedulePolicy": {"Attempts": 0, "Unlimited": False},
        "Update": {"HealthCheck": "task_states", "MinHealthyTime": 0},
        "Tasks": [_task(config, name)],
    }


def _task(config: NomadConfig, name: str) -> dict[str, Any]:
    driver, settings = _docker(config) if config.driver == "docker" else _apptainer(config)
    return {
        "Name": TASK,
        "Driver": driver,
        "Config": settings,
        "Env": {"PYTHONUNBUFFERED": "1"},
        "Templates": [_token_template(config, name)],
        "Resources": {"CPU": config.cpu, "MemoryMB": config.memory},
        "KillTimeout": 15 * _NANOSECONDS,
    }


def _token_template(config: NomadConfig, name: str) -> dict[str, Any]:
    names = (TOKEN_VARIABLE,)
    if config.driver == "singularity":
        names = (f"APPTAINERENV_{TOKEN_VARIABLE}", f"SINGULARITYENV_{TOKEN_VARIABLE}")
    lines = "\n".join(f"{variable}={{{{ .token }}}}" for variable in names)
    path = variable_path(config, name)
    return {
        "EmbeddedTmpl": f'{{{{ with nomadVar "{path}" }}}}\n{lines}\n{{{{ end }}}}\n',
        "DestPath": "secrets/token.env",
        "Envvars": True,
        "ChangeMode": "noop",
    }


def _docker(config: NomadConfig) -> _Driver:
    settings: dict[str, Any] = {
        "image": config.image,
        "force_pull": config.force_pull,
        "ports": [PORT_LABEL],
        "command": "treadle-sandbox",
        "args": ["serve", "--host", "0.0.0.0", "--port", str(INNER_PORT), *server_options(config)],
        "pids_limit": 4096,
    }
    if config.min_isolation != "process":
        settings |= {"cap_add": ["sys_admin"], "security_opt": list(_SECURITY)}
    return _Driver("docker", settings)


def _apptainer(config: NomadConfig) -> _Driver:
    words = ["exec", "--containall", "--no-home", "--dev-bind", "/dev", "/dev"]
    words += ["--pwd", "/tmp", str(config.singularity_image)]
    words += ["treadle-sandbox", "serve", "--host", "0.0.0.0"]
    words += ["--port", f"${{NOMAD_PORT_{PORT_LABEL}}}", *server_options(config)]
    return _Driver("raw_exec", {"command": "apptainer", "args": words})
