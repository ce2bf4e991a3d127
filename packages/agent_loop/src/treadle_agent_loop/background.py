"""Background processes of a workspace, on nothing but its `exec`: start, follow, feed, end.

Each process has a numbered folder in the state folder with its log, its exit status and a pipe to
its standard input. A small shell supervises it, in a session of its own, and holds a lock for as
long as the process lives: whoever waits, waits for the lock, and a process whose supervisor was
killed is known as lost. The workspace needs `sh`, `setsid`, `flock` and `mkfifo` (every Debian, and
Alpine's busybox, have them) and must let background processes outlive their command.
"""

from dataclasses import dataclass

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.workspace import CommandResult, Workspace
from treadle_agent_loop.workspace_state import STATE_FOLDER, state_file

MOST_JOBS = 200
_FOLDER = f"{STATE_FOLDER}/processes"
_LOG_BYTES = 200_000
_QUICK = 15.0
"""Seconds that a command of ours may take when it waits for nothing."""

_START = r"""
set -eu
umask 077
mkdir -p "$1"
n=1
while ! mkdir "$1/$n" 2>/dev/null; do n=$((n + 1)); [ "$n" -le "$5" ] || exit 75; done
job=$(cd "$1/$n" && pwd)
cd -- "$4"
mkfifo "$job/stdin"
: >"$job/log"
printf '%s' "$3" >"$job/command"
exec 9>"$job/lock"
flock -x 9
setsid sh -c "$6" sh "$job" "$2" "$3" </dev/null >/dev/null 2>&1 &
echo "$n"
"""
_SUPERVISE = r"""
exec 3<>"$1/stdin"
trap 'exec 3>&-; interrupted=1' USR1
setsid "$2" -c "$3" <"$1/stdin" >"$1/log" 2>&1 3>&- 9>&- &
child=$!
echo "$$" >"$1/supervisor"
echo "$child" >"$1/pid"
while :; do
    interrupted=
    wait "$child"
    code=$?
    # Cut short by USR1, wait says 128 + 10 and nothing of the child, which may have ended since.
    [ -n "$interrupted" ] && [ "$code" = 138 ] || break
done
echo "$code" >"$1/exit.new"
mv "$1/exit.new" "$1/exit"
"""
_STATUS = r"""
for job in "$@"; do
    [ -d "$job" ] || continue
    state=lost
    if [ -e "$job/exit" ]; then state="exited $(cat "$job/exit")"
    elif ! flock -n -s "$job/lock" true; then state=running
    elif [ -e "$job/exit" ]; then state="exited $(cat "$job/exit")"
    fi
    printf '%s\t%s\t%s\n' "${job##*/}" "$state" "$(head -c 200 "$job/command" | tr '\n\t' '  ')"
done
"""
_LOG = r"""
wc -lc <"$1/log"
if [ "$2" -gt 0 ]; then tail -n "+$2" "$1/log" | head -n "$3"; else tail -n "$3" "$1/log"; fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A background process at one moment."""

    id: int
    running: bool
    exit_code: int | None
    """None while it runs, and when it was lost: killed together with its supervisor."""
    command: str

    def __str__(self) -> str:
        if self.running:
            return "running"
        return "was killed" if self.exit_code is None else f"exited with code {self.exit_code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLog:
    """A part of what a background process has written."""

    text: str
    lines: int
    """How many lines it has written in all."""
    size: int
    """How many bytes."""


async def start(workspace: Workspace, command: str, *, shell: str, workdir: str) -> int:
    """Start a command and return its number.

    Raises:
        ToolError: it can't be started: no such folder, too many processes.
    """
    await state_file(workspace, "processes/.keep", b"")
    argv = ["sh", "-c", _START, "sh", _FOLDER, shell, command, workdir, str(MOST_JOBS), _SUPERVISE]
    result = await workspace.exec(argv, timeout=_QUICK)
    if result.exit_code == 75:
        raise ToolError(f"{MOST_JOBS} background processes were started; no more can be")
    return int(_require(result, "starting a background process"))


async def statuses(workspace: Workspace, job: int | None = None) -> tuple[JobStatus, ...]:
    """Return all background processes, or the one with a number, in order."""
    one = f"{_FOLDER}/{job}" if job is not None else ""
    script = _STATUS if one else f"set -- {_FOLDER}/*\n{_STATUS}"
    result = await workspace.exec(["sh", "-c", script, "sh", one], timeout=_QUICK)
    found = [_status(line) for line in _require(result, "asking for processes").splitlines()]
    return tuple(sorted(found, key=lambda status: status.id))


async def status(workspace: Workspace, job: int) -> JobStatus:
    """Return one background process.

    Raises:
        ToolError: there is none of that number; the message lists those there are.
    """
    found = await statuses(workspace, job)
    if found:
        return found[0]
    known = ", ".join(str(entry.id) for entry in await statuses(workspace))
    raise ToolError(f"there is no process {job}; the processes are: {known or '(none)'}")


async def read_log(workspace: Workspace, job: int, *, first: int = 0, limit: int) -> JobLog:
    """Return `limit` lines of a log from line `first` on (from 1), or the last ones with 0."""
    result = await workspace.exec(
        ["sh", "-c", _LOG, "sh", f"{_FOLDER}/{job}", str(first), str(limit)],
        timeout=_QUICK,
        output_limit=_LOG_BYTES,
    )
    counts, _, text = _require(result, "reading the log").partition("\n")
    lines, size = (int(word) for word in counts.split())
    return JobLog(text=text, lines=lines, size=size)


async def wait(workspace: Workspace, job: int, timeout: float) -> bool:
    """Wait until a process has ended; False when `timeout` seconds weren't enough."""
    lock = f"{_FOLDER}/{job}/lock"
    result = await workspace.exec(["flock", "-s", lock, "true"], timeout=timeout)
    if not result.timed_out:
        _require(result, "waiting for a process")
    return not result.timed_out


async def kill(workspace: Workspace, job: int, *, grace: float = 3.0) -> None:
    """End a process and what it started, with TERM, then KILL after `grace` seconds."""
    for signal in ("TERM", "KILL"):
        await _signal(workspace, job, signal, "pid", group=True)
        if await wait(workspace, job, grace):
            return
    raise ToolError(f"process {job} could not be killed")


async def write(workspace: Workspace, job: int, data: bytes) -> None:
    """Write to a process's standard input.

    Raises:
        ToolError: it doesn't read, and the pipe is full.
    """
    script = 'cat >"$1/stdin"'
    argv = ["sh", "-c", script, "sh", f"{_FOLDER}/{job}"]
    result = await workspace.exec(argv, stdin=data, timeout=5.0)
    if result.timed_out:
        raise ToolError(f"process {job} doesn't read its standard input")
    _require(result, "writing to a process")


async def close_input(workspace: Workspace, job: int) -> None:
    """End a process's standard input, so that it reads end of file."""
    await _signal(workspace, job, "USR1", "supervisor", group=False)


async def _signal(workspace: Workspace, job: int, signal: str, file: str, *, group: bool) -> None:
    script = 'kill -s "$1" -- "$2$(cat "$3")" 2>/dev/null || true'
    path = f"{_FOLDER}/{job}/{file}"
    argv = ["sh", "-c", script, "sh", signal, "-" if group else "", path]
    _require(await workspace.exec(argv, timeout=_QUICK), "signalling a process")


def _status(line: str) -> JobStatus:
    number, state, command = line.split("\t", 2)
    code = state.removeprefix("exited ")
    return JobStatus(
        id=int(number),
        running=state == "running",
        exit_code=int(code) if code.isdigit() else None,
        command=command,
    )


def _require(result: CommandResult, doing: str) -> str:
    if result.exit_code == 0 and not result.timed_out:
        return result.stdout.decode(errors="replace")
    detail = clip_middle(result.stderr.decode(errors="replace").strip(), 500)
    raise ToolError(f"{doing} failed with exit code {result.exit_code}: {detail}")
