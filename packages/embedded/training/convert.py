"""Convert a trained folder to the bundle: `python convert.py RUN BUNDLE` (see README.md).

The ONNX Runtime GenAI model builder writes the graph; it is stored as one file beside the
tokenizer, the chat template and the configuration.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx

COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def convert(run: Path, bundle: Path) -> int:
    """Write the bundle and return its size in bytes."""
    bundle.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        builder = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
        flags = ["-i", str(run), "-o", scratch, "-p", "fp32", "-e", "cpu"]
        subprocess.run([*builder, *flags], check=True, capture_output=True, text=True)
        onnx.save(onnx.load(Path(scratch) / "model.onnx"), bundle / "model.onnx")
    for name in COPIED:
        shutil.copyfile(run / name, bundle / name)
    return sum(path.stat().st_size for path in bundle.iterdir())


def main() -> None:
    """Parse flags and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the folder that train.py wrote")
    parser.add_argument("bundle", type=Path, help="the folder to write")
    options = parser.parse_args()
    print(f"{convert(options.run, options.bundle):,} bytes")


if __name__ == "__main__":
    main()
