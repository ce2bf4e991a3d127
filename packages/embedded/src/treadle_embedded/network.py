"""The network: ONNX Runtime over key/value rows that live in place.

Every answer owns one row of the cache. A step runs any number of rows at once, each at its own
length. Runs are on the calling thread (no pool, nothing spinning) and release the interpreter lock.
A row's logits don't depend on the rows beside it.
"""

import json
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from treadle_embedded.errors import BundleError

CHUNK = 256
"""Prompt positions per run: bounds the memory of a run and the time that others wait for it."""


class Network:
    """The bundled network with a cache of `rows` rows. Not thread-safe: one thread runs it."""

    def __init__(self, folder: Path, *, rows: int = 1) -> None:
        config = read_config(folder)
        self.context: int = config["max_position_embeddings"]
        """Positions a row holds: prompt and answer together."""
        self.vocabulary: int = config["vocab_size"]
        self.rows = rows
        self._session = _open(folder / "model.onnx")
        heads: int = config["num_key_value_heads"]
        size: int = config["hidden_size"] // config["num_attention_heads"]
        self._cache = {
            f"{layer}.{part}": np.zeros((rows, heads, self.context, size), np.float32)
            for layer in range(config["num_hidden_layers"])
            for part in ("key", "value")
        }

    def extend(self, row: int, start: int, ids: list[int]) -> NDArray[np.float32]:
        """Run `ids` at positions `start`... of one row; return logits `(ids, vocabulary)`."""
        pieces: list[NDArray[np.float32]] = []
        for offset in range(0, len(ids), CHUNK):
            piece = np.array([ids[offset : offset + CHUNK]], np.int64)
            pieces.append(self._run(row, piece, [start + offset])[0])
        return np.concatenate(pieces)

    def step(self, tokens: list[int], lengths: list[int]) -> NDArray[np.float32]:
        """Add a token to each of the first rows, `lengths` long; return logits by row."""
        return self._run(0, np.array(tokens, np.int64)[:, None], lengths)[:, 0]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a row to another row."""
        for part in self._cache.values():
            part[target, :, :length] = part[source, :, :length]

    def _run(self, first: int, ids: NDArray[np.int64], lengths: list[int]) -> NDArray[np.float32]:
        """Run rows `first`... of the cache, which must lie one behind the other."""
        rows, width = ids.shape
        ends = np.array(lengths, np.int64)[:, None] + width
        mask = np.less(np.arange(width + max(lengths), dtype=np.int64)[None, :], ends)
        logits = np.empty((rows, width, self.vocabulary), np.float32)
        binding: Any = self._session.io_binding()
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("attention_mask", mask.astype(np.int64))
        for name, part in self._cache.items():
            view = part[first : first + rows]
            place = ("cpu", 0, np.float32, view.shape, view.ctypes.data)
            binding.bind_input(f"past_key_values.{name}", *place)
            binding.bind_output(f"present.{name}", *place)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._session.run_with_iobinding(binding)
        return logits


def _open(path: Path) -> Any:
    runtime = _quiet_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not path.is_file():
        raise BundleError(f"{path} is missing; reinstall the package")
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _quiet_runtime() -> Any:
    """Import ONNX Runtime with its telemetry off.

    From 1.29 its Linux builds report sessions to Microsoft and leave a `.ses` file in the temporary
    folder unless this variable is set when the library loads.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return cast("Any", onnxruntime)


def read_config(folder: Path) -> dict[str, Any]:
    """Return a bundle's `config.json`.

    Raises:
        BundleError: it is missing or no JSON.
    """
    path = folder / "config.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"can't read {path}: {error}; reinstall the package") from error
