"""Every byte and every error arrives as it was sent."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_sandbox import ExecResult, Isolation, SandboxError, errors, wire

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SandboxError) and kind is not SandboxError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_arrives_as_its_own_type(kind):
    sent = kind("what happened, with \udcff and ü")
    came = wire.decode_error(wire.status_of(sent), wire.encode_error(sent))
    assert type(came) is kind
    assert str(came) == str(sent)
    assert 400 <= wire.status_of(sent) < 600


@pytest.mark.parametrize("kind", [k for k in KINDS if issubclass(k, OSError)], ids=str)
def test_errors_of_files_keep_number_and_path(kind):
    sent = kind(28, "no space", "a/\udcff")
    came = wire.decode_error(507, wire.encode_error(sent))
    assert type(came) is kind
    assert (came.errno, came.strerror, came.filename) == (28, "no space", "a/\udcff")


def test_an_error_below_a_known_one_arrives_as_the_known_one():
    class MineError(errors.SlotLostError):
        pass

    came = wire.decode_error(502, wire.encode_error(MineError("gone")))
    assert type(came) is errors.SlotLostError


@given(st.binary(max_size=300))
def test_any_other_body_is_a_server_error(body):
    assert isinstance(wire.decode_error(500, body), errors.SandboxError)


@given(
    st.binary(),
    st.binary(),
    st.integers(0, 255),
    st.booleans(),
    st.integers(0, 10**12),
    st.floats(0, 1e6),
    st.integers(0, 9),
)
def test_results_keep_every_byte(stdout, stderr, code, flag, count, seconds, restarts):
    sent = ExecResult(
        exit_code=code,
        stdout=stdout,
        stderr=stderr,
        timed_out=flag,
        truncated=not flag,
        stdout_bytes=count,
        stderr_bytes=count + 1,
        seconds=seconds,
        isolation=Isolation.NAMESPACES,
        out_of_memory=flag,
    )
    assert wire.decode_result(wire.encode_result(sent)) == (sent, 0)
    assert wire.decode_result(wire.encode_result(sent, restarts=restarts)) == (sent, restarts)


@given(st.binary(max_size=200))
def test_what_is_no_result_is_a_server_error(body):
    with pytest.raises(errors.ServerError):
        wire.decode_result(body)


def test_every_field_of_a_result_is_sent():
    names = {field.name for field in dataclasses.fields(ExecResult)}
    sent = ExecResult(
        **dict.fromkeys(names - {"isolation", "stdout", "stderr"}, 0),
        stdout=b"",
        stderr=b"",
        isolation=Isolation.PROCESS,
    )
    line = wire.encode_result(sent)
    assert all(f'"{name}"'.encode() in line for name in names - {"stdout", "stderr"})
