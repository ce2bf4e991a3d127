# Sourced by docker_engine.sh and apptainer_engine.sh: a Debian root file system as a tar, and the
# wheels of the sandbox server, both kept in TREADLE_ENGINES (default ~/.cache/treadle/engines).
# Defines `cache`, `base_tar`, `wheels`, `unavailable` and `install_packages`.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${TREADLE_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/treadle/engines}
base_tar=$cache/debian-bookworm-base.tar
wheels=$cache/sandbox-wheels
mkdir -p "$cache"

unavailable() {
    echo "$engine: $1" >&2
    exit 3
}

install_packages() { # Debian packages that aren't there yet
    local missing=()
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"; } \
        >"$cache/apt.log" 2>&1 </dev/null || unavailable "apt-get can't install ${missing[*]}; see $cache/apt.log"
}

need_root() {
    [ "$(uname -s)" = Linux ] || unavailable "it needs Linux"
    [ "$(id -u)" = 0 ] || unavailable "its engine is started by root alone"
    command -v apt-get >/dev/null || unavailable "this recipe is for Debian"
}

make_base() { # 2 minutes the first time
    [ -e "$base_tar" ] && return
    install_packages debootstrap
    local folder
    folder=$(mktemp -d)
    debootstrap --variant=minbase \
        --include=python3,git,tmux,curl,jq,bubblewrap,procps,ca-certificates,adduser \
        bookworm "$folder/root" >"$cache/debootstrap.log" 2>&1 </dev/null ||
        unavailable "debootstrap failed; see $cache/debootstrap.log"
    rm -rf "$folder"/root/var/cache/apt/archives/*.deb "$folder"/root/var/lib/apt/lists/*
    tar --numeric-owner -C "$folder/root" -cf "$base_tar.part" .
    rm -rf "$folder"
    mv "$base_tar.part" "$base_tar"
}

make_wheels() { # for the base's Python; our own wheel is made anew every time
    mkdir -p "$wheels"
    rm -f "$wheels"/treadle_sandbox-*.whl
    (cd "$repository" && uv build --quiet --package treadle-sandbox --wheel --out-dir "$wheels") >&2
    local wheel
    wheel=$(echo "$wheels"/treadle_sandbox-*.whl)
    uv run --quiet --isolated --no-project --python 3.11 --with pip python -m pip download --quiet \
        --disable-pip-version-check --dest "$wheels" --find-links "$wheels" --only-binary :all: "$wheel[server]" \
        >"$cache/wheels.log" 2>&1 </dev/null || unavailable "the server's wheels can't be had; see $cache/wheels.log"
}
