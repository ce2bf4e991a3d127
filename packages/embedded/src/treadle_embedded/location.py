"""Where the bundled model lies on disk, and what it is called."""

from pathlib import Path

MODEL_NAME = "treadle-embedded"
"""The name that the server answers to."""


def bundle_path() -> Path:
    """Return the folder with the network, tokenizer, chat template and configuration.

    `transformers.AutoTokenizer.from_pretrained(bundle_path())` reads it.
    """
    return Path(__file__).with_name("bundle")
