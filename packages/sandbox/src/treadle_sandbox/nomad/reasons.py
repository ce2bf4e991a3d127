"""Why a Nomad job doesn't run, in words, from Nomad's own records.

Pure: allocations and evaluations in, a sentence out. None means that nothing speaks against it yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

_FATAL = ("Driver Failure", "Setup Failure", "Failed Validation", "Failed Artifact Download")
_HINTS = (
    (("pull", "manifest", "no such image", "repository does not exist"), "build or push the image, "
     "load it on every node, or set `image`; for local images keep Nomad from pulling and give "
     "image garbage collection a long delay"),
    (("missing drivers", "driver"), "enable the driver on the nodes (docker, or raw_exec for "
     "Apptainer)"),
    (("executable file not found", "no such file", "not found"), "install Apptainer on the nodes "
     "and check `singularity_image`"),
    (("cap_add", "capabilit", "allow_caps"), "allow the capability sys_admin in the docker "
     "plugin's `allow_caps`, or set min_isolation"),
    (("memory", "cpu", "exhausted"), "free the nodes, add some, or lower `cpu` and `memory`"),
    (("constraint",), "no node fits: check `constraints` and `datacenters`"),
)  # fmt: skip


def _advise(text: str) -> str:
    low = text.lower()
    for words, advice in _HINTS:
        if any(word in low for word in words):
            return f"{text}; {advice}"
    return text


def _events(allocation: Json) -> list[Json]:
    states: Mapping[str, Json] = allocation.get("TaskStates") or {}
    return [event for state in states.values() for event in state.get("Events") or ()]


def _words(event: Json) -> str:
    details: Mapping[str, str] = event.get("Details") or {}
    said = event.get("DisplayMessage") or details.get("driver_error") or event.get("Message") or ""
    return f"{event.get('Type', 'event')}: {said}".strip(": ")


def allocation_problem(allocation: Json) -> str | None:
    """Return why an allocation can't run, or is being restarted; None when it looks alive."""
    events = _events(allocation)
    status = str(allocation.get("ClientStatus", ""))
    fatal = [event for event in events if event.get("Type") in _FATAL]
    waiting = any(event.get("Type") in ("Restarting", "Not Restarting") for event in events)
    if status == "running" and not fatal:
        return None
    if fatal and status in ("pending", "failed", "lost"):
        return _advise(_words(fatal[-1]))
    if status in ("failed", "lost", "complete"):
        last = [event for event in events if event.get("Type") == "Terminated"]
        said = _words(last[-1]) if last else str(allocation.get("ClientDescription") or status)
        return _advise(f"the server ended ({said})")
    if waiting:
        last = [event for event in events if event.get("Type") == "Terminated"]
        said = _words(last[-1]) if last else "no exit recorded"
        return _advise(f"the server dies and Nomad restarts it after a delay ({said})")
    return None


def placement_problem(evaluations: Sequence[Json]) -> str | None:
    """Return why no node takes a job; None when Nomad is still deciding."""
    for evaluation in evaluations:
        failed: Mapping[str, Json] = evaluation.get("FailedTGAllocs") or {}
        for metric in failed.values():
            return _advise(f"no node takes the job ({_metric(metric)})")
        if evaluation.get("Status") == "failed":
            said = evaluation.get("StatusDescription") or "its evaluation failed"
            return _advise(f"Nomad can't place the job ({said})")
    return None


def _metric(metric: Json) -> str:
    parts: list[str] = []
    for field, label in (
        ("ConstraintFiltered", "constraint"),
        ("DimensionExhausted", "exhausted"),
        ("ClassFiltered", "class"),
    ):
        found: Mapping[str, int] = metric.get(field) or {}
        parts += [f"{label} {name} on {count} node(s)" for name, count in sorted(found.items())]
    parts += _quota(metric.get("QuotaExhausted") or ())
    evaluated = int(metric.get("NodesEvaluated", 0))
    if not parts:
        parts.append("no nodes in these datacenters" if not evaluated else "no node fits")
    return f"{', '.join(parts)}; {evaluated} node(s) evaluated"


def _quota(found: Iterable[str]) -> list[str]:
    return [f"quota {name} exhausted" for name in found]
