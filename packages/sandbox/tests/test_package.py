"""The package as others see it."""

import importlib.util
import inspect
import marshal
import subprocess
import sys
from pathlib import Path

import pytest

import treadle_sandbox
from treadle_sandbox import Isolation, Lease, testing
from treadle_sandbox.local.bundle import build_bundle

PUBLIC = [
    "ArchiveError",
    "Backend",
    "BackendStateError",
    "Capabilities",
    "ConfigError",
    "ExecResult",
    "FileEntry",
    "FileTooLargeError",
    "InvalidCommandError",
    "Isolation",
    "IsolationUnavailableError",
    "Job",
    "JobNotFoundError",
    "JobState",
    "Lease",
    "LeaseClosedError",
    "LeaseExpiredError",
    "LeaseTimeoutError",
    "Limits",
    "LocalBackend",
    "NotRegularFileError",
    "OutputChunk",
    "Privilege",
    "SandboxError",
    "ServerError",
    "ServerStartError",
    "Session",
    "SlotFileError",
    "SlotFileNotFoundError",
    "SlotLostError",
    "SlotStartError",
    "Snapshot",
    "SnapshotNotFoundError",
    "Statistics",
    "UnauthorizedError",
    "UnsupportedError",
    "WorkdirError",
]


def test_the_public_names_are_these():
    assert treadle_sandbox.__all__ == PUBLIC
    assert testing.__all__ == [
        "CHECKS",
        "EGRESS_CHECKS",
        "ISOLATION_CHECKS",
        "RESOURCE_CHECKS",
        "Check",
        "FakeBackend",
        "FakeCall",
        "backend_at",
        "other_levels",
        "run_check",
        "script_of",
    ]
    for name in PUBLIC:
        assert getattr(treadle_sandbox, name).__doc__


def test_levels_compare_by_strength():
    process, namespaces, bubblewrap = Isolation
    assert process < namespaces < bubblewrap
    assert bubblewrap > "process"
    assert namespaces >= "namespaces" <= namespaces
    assert sorted(Isolation, reverse=True)[0] is bubblewrap
    assert f"{namespaces}" == "namespaces"


def test_every_error_is_a_sandbox_error_and_a_builtin():
    for name in (name for name in PUBLIC if name.endswith("Error") and name != "SandboxError"):
        kind = getattr(treadle_sandbox, name)
        assert issubclass(kind, treadle_sandbox.SandboxError)
        assert kind.__bases__[1].__module__ == "builtins"


def test_import_is_light_portable_and_standard_library_only():
    code = "import sys; import treadle_sandbox; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ctypes" not in loaded
    assert not {name for name in loaded if name.startswith("treadle_sandbox.slot.linux")}
    bare = subprocess.run(
        [sys.executable, "-c", "import sys, asyncio; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    new = {name.partition(".")[0] for name in loaded - set(bare.stdout.split())}
    assert new <= set(sys.stdlib_module_names) | {"treadle_sandbox"}


def test_every_module_of_the_slot_is_sent_to_it():
    magic, modules = marshal.loads(build_bundle()[4:])
    assert magic == importlib.util.MAGIC_NUMBER
    folder = Path(treadle_sandbox.__file__).parent / "slot"
    assert {name for name, _, _ in modules} == {path.stem for path in folder.glob("[a-z]*.py")}


def test_a_lease_fits_the_workspace_of_the_agent_loop():
    workspace = pytest.importorskip("treadle_agent_loop.workspace")
    wanted = [name for name in vars(workspace.Workspace) if not name.startswith("_")]
    for name in wanted:
        theirs = getattr(workspace.Workspace, name)
        ours = getattr(Lease, name)
        assert isinstance(theirs, property) == isinstance(ours, property), name
        if not isinstance(theirs, property):
            parameters = inspect.signature(ours).parameters
            for key, parameter in inspect.signature(theirs).parameters.items():
                assert parameters[key].default == parameter.default, (name, key)
    results = [name for name in vars(workspace.CommandResult) if not name.startswith("_")]
    assert set(results) <= set(treadle_sandbox.ExecResult.__slots__)


def test_the_readme_program_runs(tmp_path):
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    program = text.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "42" in done.stdout
