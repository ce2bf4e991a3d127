"""Formats of other distributions are found by name, and only when they are asked for."""

import os
import subprocess
import sys

import pytest

MODULE = """\
from treadle_parsers import Format
from treadle_parsers.bodies.json_call import JsonCall

print("imported")
FORMAT = Format(
    name="marlin",
    aliases=("marlin-2",),
    summary='<act>{"name": "f", "arguments": {}}</act>',
    models="Marlin",
    bodies=(JsonCall(open="<act>", close="</act>"),),
)
CLASH = Format(name="clash", aliases=("hermes",), summary="", models="", bodies=FORMAT.bodies)
"""
POINTS = """\
[treadle_parsers.formats]
marlin = marlin_parser:FORMAT
marlin-2 = marlin_parser:FORMAT
hermes = marlin_parser:FORMAT
clash = marlin_parser:CLASH
wrong = marlin_parser:FORMAT
nothing = marlin_parser:MISSING
absent = marlin_absent:FORMAT
"""


@pytest.fixture
def site(tmp_path):
    """Return a folder with an installed distribution, as an installer would leave it."""
    (tmp_path / "marlin_parser.py").write_text(MODULE, encoding="utf-8")
    info = tmp_path / "marlin_parser-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: marlin-parser\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS, encoding="utf-8")
    return tmp_path


def python(site, *argv):
    return subprocess.run(
        [sys.executable, *argv],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def printed(site, code):
    done = python(site, "-c", "from treadle_parsers import *\n" + code)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_plugin_is_loaded_when_its_name_is_asked_for(site):
    lines = printed(
        site,
        "get_parser('hermes'); 'marlin' in list_parsers() and print('listed')\n"
        "parser = get_parser('marlin-2')\n"
        "print(parser.name, get_parser('marlin') is parser)\n"
        'print(parser.parse(\'<act>{"name": "f"}</act>\').tool_calls[0].name)',
    )
    assert lines == ["listed", "imported", "marlin True", "f"]


def test_a_plugin_takes_no_name_that_is_known_without_it(site):
    assert printed(site, "print(get_parser('hermes').name)") == ["hermes"]
    lines = printed(
        site,
        "try: get_parser('clash')\nexcept DuplicateParserError as error: print(error)\n"
        "print(get_parser('hermes').name)",
    )
    assert "'hermes' belongs to the format 'hermes'" in lines[1]
    assert lines[2] == "hermes"


def test_a_plugin_that_cannot_be_used_is_named(site):
    code = (
        "from treadle_parsers.errors import PluginError\n"
        "for name in ('wrong', 'nothing', 'absent'):\n"
        "    try: get_parser(name)\n"
        "    except PluginError as error: print(error)"
    )
    _, wrong, nothing, absent = printed(site, code)
    assert all("marlin-parser" in line for line in (wrong, nothing, absent))
    assert "not a Format with the name or alias 'wrong'" in wrong
    assert "AttributeError" in nothing
    assert "ModuleNotFoundError" in absent


def test_an_unknown_name_is_near_to_those_of_plugins(site):
    code = "try: get_parser('marlim')\nexcept UnknownParserError as error: print(error)"
    assert "'marlin'" in printed(site, code)[0]


def test_the_list_of_the_command_shows_plugins_and_tells_of_broken_ones(site):
    done = python(site, "-m", "treadle_parsers", "--list")
    assert done.returncode == 0
    assert "marlin (marlin-2)\n" in done.stdout
    assert "ModuleNotFoundError" in done.stderr
