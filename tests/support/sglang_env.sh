#!/usr/bin/env bash
# Makes an environment in which stock SGLang runs on a CPU, on top of that of vllm_env.sh (torch and
# most of what SGLang needs is there), and prints what the tests read:
#   TREADLE_SGLANG_PYTHON=...  the environment's interpreter
#   TREADLE_SGLANG_PATH=...    what PYTHONPATH must hold for it: see sglang_cpu/sitecustomize.py
#   TREADLE_SGLANG_MODEL=...   the model folder
# Kept beside that environment and made again only when the recipe changes. Exit status 3: it can't be
# installed here, and the last line on standard error says why.
set -euo pipefail
support=$(cd "$(dirname "$0")" && pwd)
cache=${TREADLE_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/treadle/engines}
version=0.5.23
environment=$cache/sglang-cpu-$version

unavailable() {
    echo "SGLang on a CPU: $1" >&2
    exit 3
}

install() {
    local log=$environment.log base=$1
    rm -rf "$environment"
    python3 -m venv "$environment" >"$log" 2>&1 || uv venv --quiet --seed --clear "$environment" >>"$log" 2>&1 ||
        unavailable "no environment can be made; see $log"
    local site
    site=$("$environment/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
    "$base" -c "import sysconfig; print(sysconfig.get_path('purelib'))" >"$site/vllm_environment.pth"
    { "$environment/bin/python" -m pip install --quiet orjson IPython &&
        "$environment/bin/python" -m pip install --quiet --no-deps "sglang==$version" gguf soundfile; } >>"$log" 2>&1 ||
        unavailable "pip can't install sglang==$version; see $log"
    PYTHONPATH=$support/sglang_cpu "$environment/bin/python" -m sglang.launch_server --help >>"$log" 2>&1 ||
        unavailable "it is installed and doesn't start; see $log"
    touch "$environment/complete"
}

settings=$("$support/vllm_env.sh") || unavailable "it stands on the environment of vLLM, which can't be made here"
python=$(sed -n 's/^TREADLE_VLLM_PYTHON=//p' <<<"$settings")
exec 9>"$cache/sglang.lock"
flock 9
[ -e "$environment/complete" ] || install "$python"
echo "TREADLE_SGLANG_PYTHON=$environment/bin/python"
echo "TREADLE_SGLANG_PATH=$support/sglang_cpu"
sed -n 's/^TREADLE_VLLM_MODEL=/TREADLE_SGLANG_MODEL=/p' <<<"$settings"
