"""The in-slot modules, each on its own."""

import contextlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_sandbox import SlotStartError
from treadle_sandbox.local.launch import list_methods, verify
from treadle_sandbox.records import Isolation
from treadle_sandbox.slot import files, frames
from treadle_sandbox.slot.output import Capture
from treadle_sandbox.slot.seccomp import UnsupportedMachineError, build_filter


@given(st.lists(st.binary(max_size=900), max_size=12), st.integers(0, 2000))
def test_captured_output_is_whole_or_head_and_tail(pieces, limit):
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb", buffering=0) as pipe:
        capture = Capture(limit, reader)
        for piece in pieces:
            if piece:
                pipe.write(piece)
                capture.read()
    written, value = b"".join(pieces), capture.value()
    assert capture.total == len(written)
    assert capture.truncated == (len(written) > limit)
    assert len(value) <= limit
    if not capture.truncated:
        assert value == written
    elif limit < 192:
        assert value == written[:limit]
    else:
        head, _, rest = value.partition(b"\n[... ")
        mark, _, tail = rest.partition(b" bytes omitted ...]\n")
        assert written.startswith(head)
        assert written.endswith(tail)
        assert int(mark) == len(written) - len(head) - len(tail)


@given(st.lists(st.dictionaries(st.text(), st.binary()), max_size=5), st.integers(1, 40))
def test_requests_survive_any_cut(requests, step):
    data = b"".join(frames.encode_request(request) for request in requests)
    reader = frames.RequestReader()
    got = [found for at in range(0, len(data), step) for found in reader.feed(data[at : at + step])]
    assert got == requests


NAMES = st.sampled_from(["a", "b", "c"])
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4)
ENTRIES = st.lists(
    st.tuples(st.lists(NAMES, min_size=1, max_size=3), st.sampled_from("fdl"), TARGETS), max_size=8
)


def build_tree(root: Path, entries: list[tuple[list[str], str, list[str]]]) -> None:
    for parts, kind, target in entries:
        path = root.joinpath(*parts)
        if path.is_symlink() or path.exists() or not path.parent.is_dir():
            continue
        if kind == "f":
            path.write_text(str(path.resolve()))
        elif kind == "d":
            path.mkdir()
        else:
            path.symlink_to("/".join(target))


@given(entries=ENTRIES, path=TARGETS)
def test_paths_resolve_as_the_kernel_resolves_them(tmp_path_factory, entries, path):
    root = tmp_path_factory.mktemp("tree").resolve()
    (root / "a").mkdir()
    build_tree(root, entries)
    whole = os.path.join(root, *path)  # noqa: PTH118
    try:
        expected = Path(whole).read_bytes()
    except OSError:
        expected = None
    try:
        found = files.read("/", whole, 1000)
    except OSError:
        found = None
    assert found == expected
    if expected is not None and Path(whole).resolve().is_relative_to(root):
        confined = None
        with contextlib.suppress(OSError):
            confined = files.read(str(root), "/".join(path), 1000)
        assert confined in (None, expected)


@pytest.mark.parametrize("path", ["../out", "link", "up", "/etc/hosts", "a/../../out", "chain"])
def test_a_confined_root_is_never_left(tmp_path, path):
    root = tmp_path.resolve() / "root"
    (root / "a").mkdir(parents=True)
    outside = root.parent / "out"
    outside.write_text("outside")
    (root / "link").symlink_to(outside)
    (root / "up").symlink_to("../out")
    (root / "chain").symlink_to("link")
    with pytest.raises(OSError, match="\\[Errno"):
        files.read(str(root), path, 1000)
    with contextlib.suppress(OSError):
        files.write(str(root), path, b"changed", 0o644)
    assert outside.read_text() == "outside"


def test_any_tree_can_be_removed_and_links_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to(outside)
    (top / "closed").mkdir()
    (top / "closed" / "file").write_text("")
    (top / "closed").chmod(0)
    here = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    files.remove_tree(str(top))
    files.remove_tree(str(top))
    assert not top.exists()
    assert (outside / "kept").read_text() == "kept"


def test_a_filter_is_refused_for_an_unknown_machine():
    with pytest.raises(UnsupportedMachineError, match="m68k"):
        build_filter("m68k")
    for machine in ("x86_64", "aarch64", "riscv64"):
        assert len(build_filter(machine)) % 8 == 0


GOOD = {
    **{"pid": "1", "uid": "1000", "gid": "1000", "NoNewPrivs": "1", "Seccomp": "2"},
    **dict.fromkeys(["CapEff", "CapPrm", "CapInh", "CapAmb"], "0" * 16),
    **{f"ns_{name}": "other" for name in ("user", "pid", "mnt", "ipc", "uts", "net")},
    "root": "usr proc dev tmp workspace",
}
BAD = [
    *[(f"ns_{name}", None) for name in ("user", "pid", "mnt", "ipc", "uts", "net")],
    ("pid", "2"),
    ("uid", "0"),
    ("CapEff", "0000000000200000"),
    ("NoNewPrivs", "0"),
    ("Seccomp", "0"),
    ("root", "usr home"),
    ("root", None),
]


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux")
@pytest.mark.parametrize(("fact", "value"), BAD)
def test_a_slot_that_falls_short_is_refused(fact, value):
    from treadle_sandbox.local.launch import Site
    from treadle_sandbox.local.root import Interpreter, plan_root
    from treadle_sandbox.records import Limits

    interpreter = Interpreter(executable="/usr/bin/python3", prefix="/usr")
    root = plan_root(interpreter, (), network=False)
    site = Site(interpreter=interpreter, root=root, limits=Limits(), network=False)
    method = next(list_methods(Isolation.PROCESS))
    method = type(method)(
        isolation=Isolation.NAMESPACES, tool="", privileged=False, separate_user=False
    )

    def report(facts: dict[str, str]) -> bytes:
        return "\n".join(f"{key}={text}" for key, text in facts.items()).encode()

    verify(report(GOOD), method, site)
    own = {name: os.readlink(f"/proc/self/ns/{name[3:]}") for name in GOOD if name[:3] == "ns_"}  # noqa: PTH115
    changed = {**GOOD, fact: value if value is not None else own.get(fact, "?")}
    with pytest.raises(SlotStartError, match="isn't isolated"):
        verify(report(changed), method, site)
    with pytest.raises(SlotStartError):
        verify(report({key: text for key, text in GOOD.items() if key != fact}), method, site)
