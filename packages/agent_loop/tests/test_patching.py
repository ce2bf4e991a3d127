import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop import ToolError
from treadle_agent_loop.patching.changes import apply_hunks
from treadle_agent_loop.patching.matching import Looseness, find_lines
from treadle_agent_loop.patching.patch_text import parse_patch
from treadle_agent_loop.patching.replacing import replace_text

SOURCE = """\
class Loom:
    def weave(self, n):
        for i in range(n):
            self.pick(i)
        return n

    def rest(self):
        return 0
"""


def test_an_exact_piece_of_a_line_is_replaced():
    replaced = replace_text(SOURCE, "range(n)", "range(n + 1)")
    assert (replaced.count, replaced.looseness) == (1, Looseness.EXACT)
    assert "range(n + 1):" in replaced.text


@pytest.mark.parametrize(
    ("old", "looseness"),
    [
        ("        for i in range(n):   \n            self.pick(i)", Looseness.TRAILING_SPACE),
        ("for i in range(n):\n    self.pick(i)", Looseness.INDENTATION),
        ("\t\tfor i in range(n):\n\t\t    self.pick(i)", Looseness.INDENTATION),
        ("for  i  in  range(n):\n    self.pick(i)", Looseness.SPACING),
    ],
)
def test_loosely_quoted_lines_are_found_and_the_new_ones_indented_like_them(old, looseness):
    margin = old[: len(old) - len(old.lstrip())]
    new = f"{margin}while n:\n{margin}    n -= 1"
    replaced = replace_text(SOURCE, old, new)
    assert replaced.looseness is looseness
    assert "        while n:\n            n -= 1\n        return n" in replaced.text


def test_typographic_punctuation_matches_the_plain_one():
    replaced = replace_text("say('hi - there')\n", "say(‘hi – there’)", "say('bye')")
    assert (replaced.text, replaced.looseness) == ("say('bye')\n", Looseness.PUNCTUATION)


def test_lines_that_differ_in_indentation_in_different_ways_do_not_match():
    with pytest.raises(ToolError, match="not in the file"):
        replace_text(SOURCE, "for i in range(n):\n  self.pick(i)", "x")


def test_a_piece_that_is_there_twice_needs_more_lines_or_replace_all():
    with pytest.raises(ToolError, match=r"2 times \(lines 5, 8\)"):
        replace_text(SOURCE, "return ", "yield ")
    replaced = replace_text(SOURCE, "return ", "yield ", everywhere=True)
    assert (replaced.count, replaced.text.count("yield")) == (2, 2)


def test_a_piece_that_is_not_there_is_answered_with_the_closest_lines():
    with pytest.raises(ToolError, match=r"closest lines are:\n.*\n2\|    def weave\(self, n\):"):
        replace_text(SOURCE, "    def weave(self, m):\n        pass", "x")
    with pytest.raises(ToolError, match="read the file first"):
        replace_text(SOURCE, "entirely different", "x")
    for old, new in (("", "x"), ("x", "x")):
        with pytest.raises(ToolError):
            replace_text(SOURCE, old, new)


def test_replacing_lines_by_nothing_removes_them():
    old = "def rest(self):\n    return 0\n"
    assert replace_text(SOURCE, old, "").text.endswith("return n\n\n")


LINES = st.lists(st.sampled_from(["a", "b", "  c", "\td", "", "é", "a b"]), max_size=12)


@given(LINES, LINES, st.integers(0, 12))
def test_wanted_lines_are_found_wherever_they_are(before, wanted, extra):
    text = [*before, *wanted, "end"]
    if not wanted:
        assert find_lines(text, wanted) == ()
    else:
        found = find_lines(text, wanted)
        assert found[0].looseness is Looseness.EXACT
        assert all(list(text[m.first : m.first + len(wanted)]) == wanted for m in found)


@given(LINES, LINES)
def test_a_unified_diff_of_any_two_texts_turns_one_into_the_other(before, after):
    """The oracle is difflib, which writes the diffs."""
    old, new = [f"{n}:{line}" for n, line in enumerate(before)], list(after)
    lines = list(difflib.unified_diff(old, new, "a/f.txt", "b/f.txt", lineterm=""))
    if not lines:
        return
    (change,) = parse_patch("\n".join(lines))
    text = "".join(f"{line}\n" for line in old)
    assert apply_hunks(text, change.hunks, path="f.txt") == "".join(f"{line}\n" for line in new)


PATCH = """\
*** Begin Patch
*** Update File: loom.py
@@ class Loom:
     def weave(self, n):
-        for i in range(n):
+        for i in reversed(range(n)):
             self.pick(i)
@@     def rest(self):
-        return 0
+        return 1
*** Add File: notes.txt
+first
+second
*** Update File: a.txt
*** Move to: b.txt
@@
-x
+y
*** Delete File: old.py
*** End Patch
"""


@pytest.mark.parametrize(
    "text", [PATCH, f"```\n{PATCH}```", PATCH.replace("\n", "\r\n"), PATCH.rpartition("***")[0]]
)
def test_a_patch_of_several_files_is_read_whatever_is_around_it(text):
    update, add, move, delete = parse_patch(text)
    changed = apply_hunks(SOURCE, update.hunks, path="loom.py")
    assert "for i in reversed(range(n)):" in changed
    assert changed.endswith("        return 1\n")
    assert (add.kind, add.path, add.content) == ("add", "notes.txt", "first\nsecond\n")
    assert (move.path, move.move_to) == ("a.txt", "b.txt")
    assert (delete.kind, delete.path) == ("delete", "old.py")


def test_context_stays_as_the_file_has_it_and_added_lines_follow_its_indentation():
    text = "*** Update File: f\n@@\n def rest(self):\n-  return 0\n+  return 1"
    (change,) = parse_patch(text.replace("  return", "    return"))
    assert apply_hunks(SOURCE, change.hunks, path="f").endswith(
        "    def rest(self):\n        return 1\n"
    )


def test_lines_may_be_added_at_the_end_or_below_a_header():
    (change,) = parse_patch("*** Update File: f\n@@\n+last")
    assert apply_hunks("a\nb\n", change.hunks, path="f") == "a\nb\nlast\n"
    (change,) = parse_patch("*** Update File: f\n@@ a\n+after a")
    assert apply_hunks("a\nb\n", change.hunks, path="f") == "a\nafter a\nb\n"


def test_a_line_number_decides_between_equal_places():
    text = "x\ny\n" * 5
    (change,) = parse_patch("--- a/f\n+++ b/f\n@@ -7,2 +7,2 @@\n-x\n+z\n y")
    assert apply_hunks(text, change.hunks, path="f") == "x\ny\n" * 3 + "z\ny\n" + "x\ny\n"


def test_unified_diffs_add_delete_and_rename():
    text = (
        "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+new\n"
        "diff --git a/o b/o\n--- a/o\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"
        "--- a/p\n+++ b/q\n@@ -1 +1 @@\n-p\n+q\n"
    )
    new, old, moved = parse_patch(text)
    assert (new.kind, new.path, new.content) == ("add", "n", "new\n")
    assert (old.kind, old.path) == ("delete", "o")
    assert (moved.path, moved.move_to) == ("p", "q")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "this is no patch"),
        ("*** Begin Patch\n*** End Patch", "changes no file"),
        ("*** Update File: f\n@@\n same", "no changed line"),
        ("*** Update File: f\n@@\nno mark\n-x", "begins with none of"),
    ],
)
def test_what_is_no_patch_is_refused_with_what_one_looks_like(text, said):
    with pytest.raises(ToolError, match=said):
        parse_patch(text)


def test_a_hunk_that_fits_nowhere_shows_the_closest_lines():
    (change,) = parse_patch("*** Update File: f\n@@\n-        return m\n+        return 0")
    with pytest.raises(ToolError, match=r"hunk 1 of f.*closest lines(.|\n)*5\|        return n"):
        apply_hunks(SOURCE, change.hunks, path="f")
    (change,) = parse_patch("*** Update File: f\n@@ def nowhere():\n-x\n+y")
    with pytest.raises(ToolError, match="no line 'def nowhere"):
        apply_hunks(SOURCE, change.hunks, path="f")


@given(st.text(alphabet="*+-@ \n#adeFilnpU:/B", max_size=200))
def test_any_text_is_a_patch_or_a_tool_error(text):
    try:
        changes = parse_patch(text)
    except ToolError:
        return
    for change in changes:
        try:
            assert isinstance(apply_hunks(SOURCE, change.hunks, path="f"), str)
        except ToolError:
            continue
