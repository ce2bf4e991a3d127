#!/usr/bin/env bash
# Makes an environment with inspect_ai, of its own. Prints one line for `eval` or a .env reader:
#   TREADLE_INSPECT_PYTHON=...  the environment's interpreter
# It is kept in TREADLE_ENGINES (default ~/.cache/treadle/engines). 20 seconds the first time. Exit
# status 3: it can't be installed here, and the last line on standard error says why.
set -euo pipefail
cache=${TREADLE_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/treadle/engines}
version=0.3.285
environment=$cache/inspect-ai-$version

unavailable() {
    echo "inspect_ai: $1" >&2
    exit 3
}

mkdir -p "$cache"
exec 9>"$cache/inspect.lock"
flock 9 # two runs at a time make one environment
if [ ! -e "$environment/complete" ]; then
    log=$environment.log
    { uv venv --quiet --clear "$environment" && uv pip install --quiet --python "$environment/bin/python" \
        "inspect-ai==$version" "pytest>=8.3" "aiohttp>=3.10"; } >"$log" 2>&1 ||
        unavailable "inspect-ai==$version can't be installed; see $log"
    touch "$environment/complete"
fi
echo "TREADLE_INSPECT_PYTHON=$environment/bin/python"
