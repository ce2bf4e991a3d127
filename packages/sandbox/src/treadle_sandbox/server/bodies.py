"""The JSON bodies of the control plane, as they appear on the OpenAPI page."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """A body without unknown fields."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class LeaseWish(Body):
    """What a new lease should be."""

    timeout: float = Field(30.0, ge=0, le=86_400, description="Seconds to wait for a slot.")
    lifetime: float | None = Field(None, gt=0, description="Seconds until it ends unless renewed.")
    heartbeat: float | None = Field(
        None, gt=0, description="Seconds until it ends unless its holder shows that it lives."
    )
    owner: str = Field("", max_length=200, description="Label, for a holder that starts again.")
    snapshot: str | None = Field(None, description="Files to begin with.")


class ForkWish(Body):
    """The leases that a fork should make."""

    ids: list[str] = Field(min_length=1, max_length=1000, description="Names of the new leases.")
    timeout: float = Field(30.0, ge=0, le=86_400)
    heartbeat: float | None = Field(None, gt=0)
    owner: str = Field("", max_length=200)


class Renewal(Body):
    """How long a lease should live from now."""

    seconds: float = Field(gt=0)


class Heartbeat(Body):
    """Leases whose holder lives, with the epoch in which it holds them."""

    leases: dict[str, int] = Field(max_length=100_000)


class SnapshotName(Body):
    """A snapshot of this server."""

    id: str


class Signal(Body):
    """What a job is sent."""

    signal: int = Field(9, ge=1, le=64)


class Execution(BaseModel):
    """One use of a tool, as the predecessor's clients send it."""

    slot_id: str
    tool: str
    args: dict[str, Any] = {}
    execution_id: str | None = None
    timeout: float = Field(30.0, gt=0, le=1_000_000)


class SlotName(BaseModel):
    """A slot by the predecessor's name."""

    slot_id: str


class ReadWish(SlotName):
    """A file of a slot."""

    path: str
    encoding: Literal["text", "base64"] = "text"
    max_bytes: int | None = Field(None, gt=0)
    include_sha256: bool = False


class ListWish(SlotName):
    """A folder of a slot."""

    path: str = "."
    recursive: bool = False
    max_entries: int | None = Field(None, gt=0)


class ArchiveWish(SlotName):
    """A folder or file of a slot, to be packed."""

    path: str = "."
    format: Literal["tar.gz", "tgz"] = "tar.gz"
    max_bytes: int | None = Field(None, gt=0)
    max_entries: int | None = Field(None, gt=0)
