"""Prints the path of the plugin: `vllm serve --tool-parser-plugin "$(python -m ...)"`."""

import sys

from treadle_parsers.shims.vllm import plugin_path

if __name__ == "__main__":
    sys.stdout.write(f"{plugin_path()}\n")
