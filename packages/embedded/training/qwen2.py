"""A small Qwen2 in plain torch, for training: it names its weights as Hugging Face's Qwen2 does.

All conversations of a batch share one system block. It is run once and its keys and values are
expanded to the batch, gradients included: about half of the arithmetic of running it per
conversation.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes, named as in a Qwen2 `config.json`."""

    vocab_size: int
    hidden_size: int = 192
    intermediate_size: int = 576
    num_hidden_layers: int = 4
    num_attention_heads: int = 6
    num_key_value_heads: int = 2
    max_position_embeddings: int = 2048
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6

    def config(self, eos: int, pad: int) -> dict[str, Any]:
        """The `config.json` of the trained folder."""
        return {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            **asdict(self),
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "bos_token_id": None,
            "eos_token_id": eos,
            "pad_token_id": pad,
            "torch_dtype": "float32",
        }


Cache = tuple[Tensor, Tensor]
"""Keys (rotated) and values of one layer: `(batch, kv heads, positions, head size)`."""


class Attention(nn.Module):
    """Grouped-query attention with rotary positions and a bias on q, k and v."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.kv_heads = shape.num_attention_heads, shape.num_key_value_heads
        self.size = shape.hidden_size // self.heads
        self.q_proj = nn.Linear(shape.hidden_size, self.heads * self.size)
        self.k_proj = nn.Linear(shape.hidden_size, self.kv_heads * self.size)
        self.v_proj = nn.Linear(shape.hidden_size, self.kv_heads * self.size)
        self.o_proj = nn.Linear(self.heads * self.size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor, angles: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        """Attend to `past` and to the earlier positions of `x`."""
        batch, length, _ = x.shape
        q, k, v = (
            projection(x).view(batch, length, -1, self.size).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = _rotate(q, angles), _rotate(k, angles)
        if past is not None:
            k = torch.cat([past[0].expand(batch, -1, -1, -1), k], dim=2)
            v = torch.cat([past[1].expand(batch, -1, -1, -1), v], dim=2)
        total, groups = k.shape[2], self.heads // self.kv_heads
        mask = torch.ones(length, total, dtype=torch.bool).tril(total - length)
        y = scaled_dot_product_attention(
            q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1), attn_mask=mask
        )
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1)), (k, v)


class Mlp(nn.Module):
    """The gated feed-forward part."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and feed-forward part, each on a normalised input and added to it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(shape), Mlp(shape)
        self.input_layernorm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)

    def forward(self, x: Tensor, angles: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        """Apply it."""
        y, cache = self.self_attn(self.input_layernorm(x), angles, past)
        x = x + y
        return x + self.mlp(self.post_attention_layernorm(x)), cache


class Qwen2(nn.Module):
    """The whole model; `embed_tokens` is its output matrix too."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids: Tensor, past: list[Cache] | None = None) -> tuple[Tensor, list[Cache]]:
        """Give the last hidden states `(batch, length, hidden)` and every layer's cache."""
        start = past[0][0].shape[2] if past else 0
        angles = _angles(start, ids.shape[1], self.shape)
        x, caches = self.embed_tokens(ids), []
        for index, layer in enumerate(self.layers):
            x, cache = layer(x, angles, past[index] if past else None)
            caches.append(cache)
        return self.norm(x), caches

    def logits(self, hidden: Tensor) -> Tensor:
        """Turn hidden states into logits."""
        return hidden @ self.embed_tokens.weight.T

    def exported(self) -> dict[str, Tensor]:
        """The weights under Hugging Face's names."""
        return {f"model.{name}": value.detach() for name, value in self.state_dict().items()}


def _angles(start: int, length: int, shape: Shape) -> Tensor:
    size = shape.hidden_size // shape.num_attention_heads
    frequencies = shape.rope_theta ** (-torch.arange(0, size, 2) / size)
    return torch.arange(start, start + length)[:, None] * frequencies


def _rotate(x: Tensor, angles: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
