"""The workspace as a whole: package metadata, sibling bounds, what each package must hold."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
APPS = sorted(path.parent for path in ROOT.glob("apps/*/pyproject.toml"))


def project(folder: Path) -> dict[str, object]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


VERSIONS = {str(project(path)["name"]): Version(str(project(path)["version"])) for path in PACKAGES}


@pytest.mark.parametrize("folder", [*PACKAGES, *APPS], ids=lambda path: path.name)
def test_sibling_bounds_hold_the_sibling_of_this_tree(folder: Path) -> None:
    requirements = [Requirement(str(text)) for text in project(folder).get("dependencies", [])]  # type: ignore[attr-defined]
    for requirement in requirements:
        if requirement.name in VERSIONS:
            assert VERSIONS[requirement.name] in requirement.specifier, str(requirement)


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: path.name)
def test_package_carries_what_a_release_needs(folder: Path) -> None:
    meta = project(folder)
    module = folder / "src" / str(meta["name"]).replace("-", "_")
    assert (module / "py.typed").is_file()
    assert meta["requires-python"] == ">=3.11"
    assert "MIT License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert f"## {meta['version']}" in (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# {meta['name']}")
    assert "pip install" in readme


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: path.name)
def test_readme_says_why_each_dependency_is_there(folder: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8").lower()
    for text in project(folder).get("dependencies", []):  # type: ignore[attr-defined]
        assert f"`{Requirement(str(text)).name.lower()}`" in readme


def test_readme_gives_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "uv run apps/serve_gsm8k" in readme
    assert "uv run pytest" in readme
    assert "pip install uv" in readme
