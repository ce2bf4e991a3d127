#!/bin/sh
# Puts the sandbox server into the image that this runs in; used by both recipes.
#   $1                what pip installs, for example treadle-sandbox[server]
#   /tmp/wheels/*.whl this package and all that its server needs: taken instead, without pip or index
set -eu
has() {
    for program in "$@"; do command -v "$program" >/dev/null || return 1; done
}
if ! has python3 git tmux curl jq bwrap && has apt-get; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends \
        python3 python3-pip git tmux curl jq bubblewrap procps ca-certificates
    rm -rf /var/lib/apt/lists/*
fi
mkdir -p /opt/treadle-sandbox
if ls /tmp/wheels/*.whl >/dev/null 2>&1; then
    for wheel in /tmp/wheels/*.whl; do python3 -m zipfile -e "$wheel" /opt/treadle-sandbox; done
else
    python3 -m pip install --quiet --no-cache-dir --target /opt/treadle-sandbox "$1"
fi
cat >/usr/local/bin/treadle-sandbox <<'SCRIPT'
#!/bin/sh
PYTHONPATH=/opt/treadle-sandbox exec python3 -m treadle_sandbox "$@"
SCRIPT
chmod 755 /usr/local/bin/treadle-sandbox
python3 -m compileall -q /opt/treadle-sandbox || true
rm -rf /tmp/wheels
