"""The bundled model as a Hugging Face folder, for engines that don't read ONNX (vLLM, SGLang).

The folder holds `config.json`, `model.safetensors`, the tokenizer's files and the chat template;
transformers and vLLM load it as a Qwen2. The weights are the bundle's own, bit for bit.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from treadle_embedded.errors import BundleError
from treadle_embedded.location import bundle_path
from treadle_embedded.network import read_config
from treadle_embedded.weights import Weights, read_weights

_COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def export(folder: Path, *, bundle: Path | None = None) -> None:
    """Write the folder; files of the same names are replaced.

    Raises:
        BundleError: the bundle lacks a file, or holds another kind of model.
        OSError: the folder can't be written.
    """
    source = bundle_path() if bundle is None else bundle
    missing = [name for name in _COPIED if not (source / name).is_file()]
    if missing:
        raise BundleError(f"{source} has no {', '.join(missing)}; reinstall the package")
    weights = read_weights(source / "model.onnx", read_config(source))
    folder.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        shutil.copyfile(source / name, folder / name)
    _write_safetensors(folder / "model.safetensors", weights)


def _write_safetensors(path: Path, weights: Weights) -> None:
    """Write the format of https://github.com/huggingface/safetensors: a JSON header, then bytes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, array in sorted(weights.items()):
        end = offset + array.nbytes
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in sorted(weights.items()):
            file.write(np.ascontiguousarray(array, "<f4").tobytes())
