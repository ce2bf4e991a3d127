"""The file for `--tool-parser-plugin` and `--reasoning-parser-plugin`.

Importing it registers the names, which is how vLLM loads a plugin; a class is made when vLLM asks
for its name. Not to be imported by anything else.
"""

from treadle_parsers.shims.vllm.registration import register

register()
