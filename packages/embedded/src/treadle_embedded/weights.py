"""The bundle's weights under Hugging Face's names, read from `model.onnx`.

The file is a protocol-buffers message; the few fields that hold weights are read here, so that
nothing but numpy is needed. Only what ONNX Runtime GenAI's builder writes for a Qwen2 with tied
embeddings is understood: fp32, weights inside the file, q, k and v in one matrix.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle_embedded.errors import BundleError

Weights = dict[str, NDArray[np.float32]]
"""Tensors by name, in the layout of `torch.nn.Linear`: outputs first."""

# Field numbers of ModelProto, GraphProto and TensorProto (onnx/onnx.proto).
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT = 1


def read_weights(model: Path, config: Mapping[str, Any]) -> Weights:
    """Return the weights of a converted model whose `config.json` is `config`.

    Raises:
        BundleError: the file is missing, no ONNX model, or one of another architecture.
    """
    try:
        stored = _initializers(memoryview(model.read_bytes()))
        return _renamed(stored, config)
    except OSError as error:
        raise BundleError(f"can't read {model}: {error}; reinstall the package") from error
    except (ValueError, IndexError, struct.error) as error:
        raise BundleError(f"{model} is no ONNX model that can be exported: {error}") from error
    except KeyError as error:
        raise BundleError(f"{model} has no weight {error}: it isn't a Qwen2 like ours") from error


def _renamed(stored: Weights, config: Mapping[str, Any]) -> Weights:
    head = config["hidden_size"] // config["num_attention_heads"]
    queries, keys = config["hidden_size"], head * config["num_key_value_heads"]
    layers = config["num_hidden_layers"]
    named: Weights = {
        "model.embed_tokens.weight": stored["lm_head.MatMul.weight"].T,
        "model.norm.weight": stored[f"model.layers.{layers}.final_norm_layernorm.weight"],
    }
    for layer in (f"model.layers.{index}" for index in range(layers)):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            named[f"{layer}.{norm}.weight"] = stored[f"{layer}.{norm}.weight"]
        for part in ("gate_proj", "up_proj", "down_proj"):
            named[f"{layer}.mlp.{part}.weight"] = stored[f"{layer}.mlp.{part}.MatMul.weight"].T
        output = stored[f"{layer}.attn.o_proj.MatMul.weight"]
        named[f"{layer}.self_attn.o_proj.weight"] = output.T
        cuts = [queries, queries + keys]
        matrices = np.split(stored[f"{layer}.attn.qkv_proj.MatMul.weight"], cuts, axis=1)
        biases = np.split(stored[f"{layer}.attn.qkv_proj.Add.bias"], cuts)
        for letter, matrix, bias in zip("qkv", matrices, biases, strict=True):
            named[f"{layer}.self_attn.{letter}_proj.weight"] = matrix.T
            named[f"{layer}.self_attn.{letter}_proj.bias"] = bias
    return named


def _initializers(data: memoryview) -> Weights:
    tensors: Weights = {}
    for number, graph in _fields(data):
        if number != _GRAPH or isinstance(graph, int):
            continue
        for inner, tensor in _fields(graph):
            if inner == _INITIALIZER and not isinstance(tensor, int):
                name, array = _tensor(tensor)
                tensors[name] = array
    if not tensors:
        raise ValueError("it holds no weights")
    return tensors


def _tensor(data: memoryview) -> tuple[str, NDArray[np.float32]]:
    shape: list[int] = []
    name, kind, raw = "", 0, memoryview(b"")
    for number, value in _fields(data):
        if isinstance(value, int):
            if number == _DIMS:
                shape.append(value)
            elif number == _DATA_TYPE:
                kind = value
        elif number == _DIMS:
            shape.extend(_packed(value))
        elif number == _NAME:
            name = bytes(value).decode()
        elif number == _RAW_DATA:
            raw = value
    if kind != _FLOAT:
        raise ValueError(f"{name} isn't stored as 32-bit floats")
    return name, np.frombuffer(raw, "<f4").reshape(shape)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field numbers with their values: whole numbers, or bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _varint(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {place}")
        if place + size > len(data):
            raise ValueError("it is cut off")
        yield key >> 3, data[place : place + size]
        place += size


def _packed(data: memoryview) -> Iterator[int]:
    place = 0
    while place < len(data):
        value, place = _varint(data, place)
        yield value


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
