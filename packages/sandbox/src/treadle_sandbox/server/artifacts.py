"""The predecessor's artifact calls: files of a slot as JSON."""

import base64
import gzip
import hashlib
import mimetypes
from typing import Any

from treadle_sandbox import errors
from treadle_sandbox.backend import Lease
from treadle_sandbox.server.bodies import ArchiveWish, ListWish, ReadWish

MOST_BYTES = 5_000_000
MOST_ENTRIES = 5_000


async def read_artifact(lease: Lease, wish: ReadWish) -> dict[str, Any]:
    """Return a file, cut at `max_bytes`; the digest covers what is returned."""
    most = min(wish.max_bytes or MOST_BYTES, MOST_BYTES)
    data = await lease.read_file(wish.path, limit=64_000_000)
    kept = data[:most]
    if wish.encoding == "base64":
        content = base64.b64encode(kept).decode("ascii")
    else:
        content = kept.decode("utf-8", "replace")
    mime = mimetypes.guess_type(wish.path)[0] or "application/octet-stream"
    shown: dict[str, Any] = {
        "success": True,
        "content": content,
        "encoding": wish.encoding,
        "truncated": len(data) > most,
        "bytes": len(kept),
        "file_size": len(data),
        "path": wish.path,
        "mime": mime,
        "sha256": None,
    }
    if wish.include_sha256:
        shown["sha256"] = hashlib.sha256(kept).hexdigest()
    return shown


async def list_artifacts(lease: Lease, wish: ListWish) -> dict[str, Any]:
    """Return the files below a folder and the folders they are in."""
    most = min(wish.max_entries or MOST_ENTRIES, MOST_ENTRIES)
    entries: dict[str, dict[str, Any]] = {}
    for file in await lease.list_files(wish.path):
        names = file.path.split("/")
        if len(names) > 1:
            for depth in range(1, len(names) if wish.recursive else 2):
                folder = "/".join(names[:depth])
                entries[folder] = {"path": folder, "is_dir": True, "size": 0}
        if wish.recursive or len(names) == 1:
            entries[file.path] = {"path": file.path, "is_dir": False, "size": file.size}
    ordered = [entries[name] for name in sorted(entries)]
    return {"success": True, "entries": ordered[:most], "truncated": len(ordered) > most}


async def archive_artifacts(lease: Lease, wish: ArchiveWish) -> dict[str, Any]:
    """Return a folder or file as a gzipped tar archive. Raises FileTooLargeError."""
    most = min(wish.max_bytes or MOST_BYTES, MOST_BYTES)
    files = await lease.list_files(wish.path)
    allowed = min(wish.max_entries or MOST_ENTRIES, MOST_ENTRIES)
    if len(files) > allowed:
        raise errors.FileTooLargeError(27, f"more than {allowed} files", wish.path)
    data = gzip.compress(await lease.archive(wish.path, limit=20 * most), 6, mtime=0)
    if len(data) > most:
        raise errors.FileTooLargeError(27, f"the archive has more than {most} bytes", wish.path)
    return {
        "success": True,
        "content": base64.b64encode(data).decode("ascii"),
        "format": "tar.gz",
        "bytes": len(data),
        "entry_count": len(files),
    }
