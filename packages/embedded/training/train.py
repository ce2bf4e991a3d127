"""Train the demonstration model: `python train.py --out RUN` (see README.md).

Writes a Hugging Face folder (`config.json`, `model.safetensors`, tokenizer, chat template) to RUN,
and with `--keep-steps N ...` one more to `RUN-stepN` each: an early model that writes tool calls
but solves few problems is a start for reinforcement learning. The same seed, versions and thread
count give the same weights.
"""

import argparse
import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from conversations import PINNED, Setting, converse, draw_setting
from qwen2 import Cache, Qwen2, Shape
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokens import TEMPLATE, Encoded, Renderer, encode, train_tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy

from treadle_embedded.problems import Split, stream

BUCKET = 4
"""Batches drawn at once and sorted by length, so that little is spent on padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Conversations of one setting, padded to one length."""

    system: Tensor
    """`(1, S)`: the ids of the system block; empty when the setting has none."""
    ids: Tensor
    """`(B, T)`"""
    trained: Tensor
    """`(B, T)`: true where the id is learned."""


class Corpus:
    """Training batches without end."""

    def __init__(self, tokenizer: Tokenizer, seed: int, batch: int) -> None:
        self._tokenizer, self._batch = tokenizer, batch
        self._rng, self._renderer = Random(seed), Renderer()
        self._problems = stream(seed, split=Split.TRAIN)

    def batches(self) -> Iterator[Batch]:
        """Draw buckets of batches; a bucket has one setting."""
        while True:
            setting = draw_setting(self._rng)
            count = self._batch * (BUCKET if setting is PINNED else 1)
            rows = sorted((self._row(setting) for _ in range(count)), key=lambda row: len(row.ids))
            system = self._tokenizer.encode(self._renderer.system_block(setting)).ids
            groups = [rows[i : i + self._batch] for i in range(0, count, self._batch)]
            self._rng.shuffle(groups)
            for group in groups:
                yield self._pad(system, group)

    def _row(self, setting: Setting) -> Encoded:
        turns = converse(self._problems, setting, self._rng)
        return encode(turns, setting, self._renderer, self._tokenizer)

    def _pad(self, system: list[int], rows: list[Encoded]) -> Batch:
        longest = max(len(row.ids) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        trained = torch.zeros(len(rows), longest, dtype=torch.bool)
        for index, row in enumerate(rows):
            ids[index, : len(row.ids)] = torch.tensor(row.ids)
            trained[index, : len(row.ids)] = torch.tensor(row.trained)
        return Batch(system=torch.tensor([system], dtype=torch.long), ids=ids, trained=trained)


def loss_of(model: Qwen2, batch: Batch) -> Tensor:
    """Mean cross-entropy of the learned tokens."""
    past: list[Cache] | None = None
    if batch.system.shape[1]:
        _, past = model(batch.system)
    hidden, _ = model(batch.ids[:, :-1], past)
    learned = batch.trained[:, 1:]
    return cross_entropy(model.logits(hidden[learned]).float(), batch.ids[:, 1:][learned])


def optimizers(model: Qwen2, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for everything else."""
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "layers" in name]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=rate * 10, weight_decay=0.01),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def scale(step: int, steps: int) -> float:
    """Learning-rate factor: short warm-up, then linear decay to zero over the last two thirds."""
    warm = min(1.0, (step + 1) / 40)
    return warm * min(1.0, 1.5 * (1 - step / steps))


def save(model: Qwen2, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a folder that transformers and the ONNX Runtime GenAI model builder read."""
    folder.mkdir(parents=True, exist_ok=True)
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    (folder / "config.json").write_text(json.dumps(model.shape.config(end, pad), indent=2) + "\n")
    save_file(model.exported(), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": model.shape.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    shutil.copyfile(TEMPLATE, folder / "chat_template.jinja")


def train(options: argparse.Namespace) -> None:
    """Run the whole training."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    tokenizer = train_tokenizer(6000, options.vocabulary, options.seed)
    model = Qwen2(Shape(vocab_size=options.vocabulary))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    steppers = optimizers(model, options.rate)
    rates = [[group["lr"] for group in stepper.param_groups] for stepper in steppers]
    batches = Corpus(tokenizer, options.seed, options.batch).batches()
    started, recent = time.monotonic(), math.nan
    for step in range(options.steps):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.bf16):
            loss = loss_of(model, next(batches))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper, initial in zip(steppers, rates, strict=True):
            for group, rate in zip(stepper.param_groups, initial, strict=True):
                group["lr"] = rate * scale(step, options.steps)
            stepper.step()
            stepper.zero_grad()
        recent = loss.item() if math.isnan(recent) else 0.95 * recent + 0.05 * loss.item()
        if (step + 1) % 25 == 0:
            print(
                f"step {step + 1}: loss {recent:.4f}, {time.monotonic() - started:.0f} s",
                flush=True,
            )
        if step + 1 in options.keep_steps:
            save(model, tokenizer, options.out.with_name(f"{options.out.name}-step{step + 1}"))
        if (step + 1) % 250 == 0:
            save(model, tokenizer, options.out)
    save(model, tokenizer, options.out)


def main() -> None:
    """Parse flags and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=48, help="conversations per step")
    parser.add_argument(
        "--rate", type=float, default=2e-3, help="AdamW's; Muon's is ten times that"
    )
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument(
        "--keep-steps", type=int, nargs="*", default=[], help="keep these steps too"
    )
    parser.add_argument(
        "--bf16", action="store_true", help="bf16 autocast: faster on some machines"
    )
    train(parser.parse_args())


if __name__ == "__main__":
    main()
