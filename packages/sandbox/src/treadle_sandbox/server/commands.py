"""The hot routes: a command in a lease, a shell or a session.

`POST /v1/leases/ID/exec`, `.../shell` and `.../sessions/NAME/run` take a command of
`treadle_sandbox.wire` and answer with a result. They are reached without FastAPI, so that a call
costs little more than its command; what they check and how they answer is the same for all routes.
"""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from treadle_sandbox import wire
from treadle_sandbox.backend import Lease
from treadle_sandbox.errors import InvalidCommandError, SandboxError, UnauthorizedError
from treadle_sandbox.records import ExecResult, Privilege
from treadle_sandbox.server.answers import Answer, answer_error, answer_json
from treadle_sandbox.server.authority import Authority
from treadle_sandbox.server.calls import Call
from treadle_sandbox.server.leases import Held, LeaseBook
from treadle_sandbox.server.tally import Tally


@dataclass(frozen=True, slots=True)
class Target:
    """What a path of the hot routes names."""

    lease: str
    verb: str
    session: str | None = None


def find_target(url: bytes) -> Target | None:
    """Return what a request target names, or None when it is no hot route."""
    parts = url.split(b"/")
    if parts[1:3] != [b"v1", b"leases"] or b"%" in url:
        return None
    if len(parts) == 5 and parts[4] in (b"exec", b"shell"):
        return Target(parts[3].decode("latin-1"), parts[4].decode("ascii"))
    if len(parts) == 7 and parts[4] == b"sessions" and parts[6] == b"run":
        return Target(parts[3].decode("latin-1"), "run", parts[5].decode("latin-1"))
    return None


class Commands:
    """Runs commands for the hot routes."""

    def __init__(self, book: LeaseBook, authority: Authority, tally: Tally) -> None:
        self._book = book
        self._authority = authority
        self._tally = tally

    def admit(self, name: str, headers: Mapping[bytes, bytes]) -> Held:
        """Return the lease that a request may use. Raises as `LeaseBook.find`, and
        UnauthorizedError.
        """
        digest = self._book.digest(name)
        if digest is not None:
            self._authority.admit_to(digest, headers.get(b"authorization"))
        epoch = headers.get(b"treadle-epoch")
        if epoch is not None and not epoch.isdigit():
            raise InvalidCommandError(f"the {wire.EPOCH} header is {epoch!r}: give a number")
        return self._book.find(name, None if epoch is None else int(epoch))

    def begin(self, target: Target, headers: Mapping[bytes, bytes], body: bytes) -> Call | Answer:
        """Start or join a call; an answer at once when it is refused."""
        try:
            held = self.admit(target.lease, headers)
            fields, stdin = _read(body)
            if target.verb != "exec" and not isinstance(fields.get("script"), str):
                raise InvalidCommandError("the command has no `script`: give shell text")
        except UnauthorizedError as error:
            self._tally.refused += 1
            return answer_error(error, 403 if b"authorization" in headers else 401)
        except SandboxError as error:
            return answer_error(error, boot=self._book.boot)
        key = headers.get(b"idempotency-key")
        plain = b"json" in headers.get(b"accept", b"")
        return held.calls.begin(
            None if key is None else key.decode("latin-1"),
            lambda: self._run(held, target, fields, stdin, plain),
        )

    async def _run(
        self, held: Held, target: Target, fields: dict[str, Any], stdin: bytes, plain: bool
    ) -> Answer:
        began = time.perf_counter()
        restarts: int | None = None
        if target.session is not None:
            session = held.sessions.get(target.session)
            if session is None:
                session = held.sessions[target.session] = await held.lease.session(target.session)
            result = await session.run(fields.pop("script"), **_only(fields, _SESSION))
            restarts = session.restarts
        else:
            result = await _command(held.lease, target.verb, fields, stdin)
        self._tally.observe(time.perf_counter() - began)
        if plain:
            return answer_json(_plain(result))
        return Answer(200, wire.encode_result(result, restarts=restarts), wire.RESULT_TYPE)


_SESSION = frozenset({"timeout", "output_limit"})
_COMMAND = _SESSION | {"env", "workdir", "privilege"}
_JOB = frozenset({"timeout", "env", "workdir", "privilege", "keep"})


async def _command(lease: Lease, verb: str, fields: dict[str, Any], stdin: bytes) -> ExecResult:
    if verb == "shell":
        script = fields.pop("script")
        return await lease.shell(script, stdin=stdin, **_only(fields, _COMMAND))
    argv = _take_argv(fields)
    return await lease.exec(argv, stdin=stdin, **_only(fields, _COMMAND))


def read_job(body: bytes) -> tuple[list[str], dict[str, Any]]:
    """Return the arguments of a background job. Raises InvalidCommandError."""
    fields, _ = _read(body)
    return _take_argv(fields), _only(fields, _JOB)


def _take_argv(fields: dict[str, Any]) -> list[str]:
    argv: Any = fields.pop("argv", None)
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in cast("Any", argv)):
        raise InvalidCommandError(f"argv is {argv!r}: give a list of strings")
    return cast("list[str]", argv)


def _only(fields: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return the fields when each is known and of its type."""
    for name, value in fields.items():
        if name not in known:
            raise InvalidCommandError(f"no field {name!r} here; there are {sorted(known)}")
        if name == "timeout":
            wrong = isinstance(value, bool) or not isinstance(value, (int, float))
        elif name in ("output_limit", "keep"):
            wrong = type(value) is not int
        elif name == "env":
            wrong = not _is_env(value)
        else:
            wrong = not isinstance(value, str)
        if wrong:
            raise InvalidCommandError(f"{name} is {value!r}, which is of the wrong type")
    if "privilege" in fields:
        if fields["privilege"] not in list(Privilege):
            raise InvalidCommandError(f"privilege is {fields['privilege']!r}")
        fields["privilege"] = Privilege(fields["privilege"])
    return fields


def _is_env(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(isinstance(item, str) for item in cast("dict[str, Any]", value).values())


def _read(body: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, stdin = body.partition(b"\n")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidCommandError(f"the command's first line is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidCommandError("the command's first line is no JSON object")
    return cast("dict[str, Any]", fields), stdin


def _plain(result: ExecResult) -> dict[str, Any]:
    shown = {name: getattr(result, name) for name in ExecResult.__slots__}
    try:
        text = {"stdout": result.stdout.decode(), "stderr": result.stderr.decode()}
        return {**shown, **text, "encoding": "utf-8"}
    except UnicodeDecodeError:
        coded = {n: base64.b64encode(shown[n]).decode() for n in ("stdout", "stderr")}
        return {**shown, **coded, "encoding": "base64"}
