import pytest

from treadle_agent_loop import ToolOutcome, ToolRegistry
from treadle_agent_loop.standard_tools import (
    build_read_file_tool,
    patch_tool,
    read_file_tool,
    search_files_tool,
    write_file_tool,
)
from treadle_agent_loop.testing import HostWorkspace

TOOLS = ToolRegistry([read_file_tool, write_file_tool, patch_tool, search_files_tool])


class Files:
    """A workspace's tools: `ok` and `no` say what a call must come to."""

    def __init__(self, workspace, tools=TOOLS):
        self.workspace = workspace
        self.tools = tools

    async def ok(self, name, **arguments):
        reply = await self.tools.call(name, arguments, self.workspace)
        assert reply.outcome is ToolOutcome.OK, reply.text
        return reply.text

    async def no(self, name, **arguments):
        reply = await self.tools.call(name, arguments, self.workspace)
        assert reply.outcome is ToolOutcome.TOOL_ERROR, reply.text
        return reply.text

    async def text(self, path):
        return (await self.workspace.read_file(path)).decode()


async def test_what_is_written_is_read_back_with_line_numbers():
    async with HostWorkspace() as workspace:
        files = Files(workspace)
        said = await files.ok("write_file", path="a/b.txt", content="één\n\ntwo\n")
        assert said == "wrote 11 bytes (3 lines) to a/b.txt"
        assert await files.ok("read_file", path="a/b.txt") == "1|één\n2|\n3|two"
        await files.ok("write_file", path="empty", content="")
        assert "is empty" in await files.ok("read_file", path="empty")


async def test_pages_say_where_the_next_one_begins_and_never_end_inside_a_line():
    async with HostWorkspace() as workspace:
        files = Files(workspace, ToolRegistry([build_read_file_tool(result_limit=1_000)]))
        lines = [f"line {n} " + "x" * (n % 40) for n in range(1, 301)]
        await workspace.write_file("f", "\n".join(lines).encode())
        seen, offset = [], 1
        while True:
            page = (await files.ok("read_file", path="f", offset=offset)).splitlines()
            note = page.pop()
            seen += [line.partition("|")[2] for line in page]
            if "go on with offset=" not in note:
                break
            offset = int(note.rpartition("=")[2].rstrip("]"))
        assert seen == lines
        part = await files.ok("read_file", path="f", offset=7, limit=2)
        assert part.splitlines()[2] == "[lines 7 to 8 of 300; go on with offset=9]"
        assert "there is no line 301" in await files.no("read_file", path="f", offset=301)
        assert "count from 1" in await files.no("read_file", path="f", offset=0)


async def test_a_file_that_is_not_there_is_answered_with_names_like_it():
    async with HostWorkspace() as workspace:
        files = Files(workspace)
        await workspace.write_file("src/weaver.py", b"x")
        assert "did you mean src/weaver.py" in await files.no("read_file", path="src/waever.py")
        assert "folder nowhere doesn't exist" in await files.no("read_file", path="nowhere/x")
        assert "is a folder" in await files.no("read_file", path="src")


async def test_binary_and_huge_files_are_refused_with_what_to_do_instead():
    async with HostWorkspace() as workspace:
        tools = ToolRegistry([build_read_file_tool(max_bytes=1_000)])
        files = Files(workspace, tools)
        await workspace.write_file("blob", b"\x7fELF\0\1\2")
        assert "binary file of 7 bytes" in await files.no("read_file", path="blob")
        await workspace.write_file("big", b"x" * 1_001)
        assert "head -c" in await files.no("read_file", path="big")
        await workspace.write_file("latin", "é\n".encode("latin-1"))
        assert await files.ok("read_file", path="latin") == "1|\ufffd"


async def test_a_very_long_line_is_cut_in_its_middle():
    async with HostWorkspace() as workspace:
        await workspace.write_file("f", b"a" * 10_000)
        assert len(await Files(workspace).ok("read_file", path="f")) < 2_100


async def test_patch_replaces_and_shows_the_difference():
    async with HostWorkspace() as workspace:
        files = Files(workspace)
        await workspace.write_file("f.py", b"def f():\n    return 1\n")
        said = await files.ok("patch", path="f.py", old_string="return 1", new_string="return 2")
        assert said.splitlines()[0] == "changed 1 place in f.py"
        assert "-    return 1\n+    return 2" in said
        said = await files.ok("patch", path="f.py", old_string="return 2  ", new_string="return 3")
        assert "matched apart from" in said
        assert await files.text("f.py") == "def f():\n    return 3\n"
        assert "closest" in await files.no(
            "patch", path="f.py", old_string="    return 4", new_string="x"
        )
        assert "give path" in await files.no("patch", path="f.py")
        assert "not both" in await files.no("patch", path="f", old_string="x", patch="y")


async def test_windows_line_ends_stay():
    async with HostWorkspace() as workspace:
        files = Files(workspace)
        await workspace.write_file("f", b"one\r\ntwo\r\n")
        await files.ok("patch", path="f", old_string="one\ntwo", new_string="1\n2")
        assert await workspace.read_file("f") == b"1\r\n2\r\n"
        await files.ok("patch", patch="*** Update File: f\n@@\n 1\n-2\n+3")
        assert await workspace.read_file("f") == b"1\r\n3\r\n"


async def test_a_patch_changes_all_its_files_or_none():
    async with HostWorkspace() as workspace:
        files = Files(workspace)
        for name in ("a", "b", "c"):
            await workspace.write_file(name, f"{name}\n".encode())
        good = (
            "*** Begin Patch\n*** Update File: a\n@@\n-a\n+A\n*** Add File: new/d\n+d\n"
            "*** Delete File: b\n*** Update File: c\n*** Move to: moved\n@@\n-c\n+C\n*** End Patch"
        )
        bad = good.replace("-c\n", "-nothing like it\n")
        assert "its lines are not in the file" in await files.no("patch", patch=bad)
        assert [await files.text(name) for name in ("a", "b", "c")] == ["a\n", "b\n", "c\n"]
        said = await files.ok("patch", patch=good)
        assert said.splitlines()[:4] == [
            *("updated a", "added new/d", "deleted b", "moved c to moved"),
        ]
        assert await files.text("a") + await files.text("new/d") == "A\nd\n"
        assert await files.text("moved") == "C\n"
        for gone in ("b", "c"):
            with pytest.raises(FileNotFoundError):
                await workspace.read_file(gone)


async def test_one_file_may_be_in_a_patch_twice():
    async with HostWorkspace() as workspace:
        files = Files(workspace)
        await workspace.write_file("f", b"1\n2\n")
        await files.ok(
            "patch", patch="*** Update File: f\n@@\n-2\n+two\n*** Update File: f\n@@\n-1\n+one"
        )
        assert await files.text("f") == "one\ntwo\n"
        twice = "*** Delete File: f\n*** Update File: f\n@@\n-one\n+1"
        assert "after it has deleted it" in await files.no("patch", patch=twice)


async def _tree(workspace):
    contents = {
        "src/a.py": "import os\n\ndef weave():\n    pass\n",
        "src/b.py": "WEAVE = 1\ndef weave2(): pass\n",
        "notes.txt": "weave\n",
        ".hidden/c.py": "weave\n",
        ".git/config": "weave\n",
        "node_modules/x.js": "weave\n",
        "blob": "weave\0\n",
    }
    for path, text in contents.items():
        await workspace.write_file(path, text.encode())


async def test_contents_are_searched_by_regular_expression():
    async with HostWorkspace() as workspace:
        await _tree(workspace)
        files = Files(workspace)
        assert await files.ok("search_files", pattern=r"def weave\d?\(") == (
            "src/a.py:3:def weave():\nsrc/b.py:2:def weave2(): pass"
        )
        found = await files.ok("search_files", pattern="weave", output="files")
        assert found.splitlines() == [".hidden/c.py", "notes.txt", "src/a.py", "src/b.py"]
        counted = await files.ok("search_files", pattern="weave", ignore_case=True, output="count")
        assert "src/b.py:2" in counted.splitlines()
        only = await files.ok("search_files", pattern="weave", glob="*.txt")
        assert only == "notes.txt:1:weave"
        around = await files.ok("search_files", pattern="weave", path="src/a.py", context=1)
        assert around.splitlines() == [
            "src/a.py-2-",
            "src/a.py:3:def weave():",
            "src/a.py-4-    pass",
        ]


async def test_file_names_are_searched_by_pattern():
    async with HostWorkspace() as workspace:
        await _tree(workspace)
        files = Files(workspace)
        found = await files.ok("search_files", pattern="*.py", target="files")
        assert found.splitlines() == [".hidden/c.py", "src/a.py", "src/b.py"]
        assert "no files for" in await files.ok("search_files", pattern="*.js", target="files")


async def test_searches_are_paged_and_say_what_was_wrong():
    async with HostWorkspace() as workspace:
        files = Files(workspace)
        await workspace.write_file("f", "".join(f"hit {n}\n" for n in range(120)).encode())
        page = (await files.ok("search_files", pattern="hit", limit=50, offset=50)).splitlines()
        assert (page[0], page[-1]) == ("f:51:hit 50", "[51 to 100 of 120; go on with offset=100]")
        missed = await files.ok("search_files", pattern="miss")
        assert missed == "no matches for 'miss' in ."
        assert "the search failed" in await files.no("search_files", pattern="(")
        assert "the search failed" in await files.no("search_files", pattern="x", path="nowhere")
        assert "is empty" in await files.no("search_files", pattern="")


async def test_patterns_that_look_like_options_or_shell_are_just_patterns():
    async with HostWorkspace() as workspace:
        files = Files(workspace)
        await workspace.write_file("f", b"--help $(touch oops) 'x'\n")
        for pattern in ("--help", r"\$\(touch oops\)", "'x'"):
            assert "f:1:" in await files.ok("search_files", pattern=pattern)
        with pytest.raises(FileNotFoundError):
            await workspace.read_file("oops")


async def test_paths_no_workspace_takes_are_told_to_the_model(sandbox):
    async with sandbox() as lease:
        files = Files(lease)
        for path in ("x\0y", "/etc/passwd/x", "/proc/self/mem"):
            assert await files.no("read_file", path=path)
        assert await files.no("write_file", path="/usr/bin/x", content="x")
        await files.ok("write_file", path="a.py", content="x = 1\n")
        await files.ok("patch", path="a.py", old_string="x = 1", new_string="x = 2")
        assert await files.ok("read_file", path="a.py") == "1|x = 2"
        assert await files.ok("search_files", pattern="x = ") == "a.py:1:x = 2"
