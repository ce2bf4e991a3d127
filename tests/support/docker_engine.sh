#!/usr/bin/env bash
# Starts a Docker engine of its own, unless one answers already, with a Debian image in it that needs no
# registry. Prints lines for `eval` or a .env reader:
#   DOCKER_HOST=...              where the engine listens (absent when the usual one is used)
#   TREADLE_DOCKER_BASE=...      the image to build from
#   TREADLE_SANDBOX_WHEELS=...   folder with the wheels of the sandbox server
# Everything is kept in TREADLE_ENGINES; 3 minutes the first time, 10 s later. `docker_engine.sh stop`
# ends the engine. Exit status 3: it can't be had here, and the last line on standard error says why.
engine=Docker
# shellcheck source=tests/support/sandbox_base.sh
source "$(dirname "$0")/sandbox_base.sh"
place=$cache/docker
socket=unix://$place/docker.sock
image=treadle-base:bookworm

stop() {
    [ -e "$place/pid" ] || return 0
    local process
    process=$(cat "$place/pid")
    kill "$process" 2>/dev/null || true
    for _ in $(seq 150); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$process" 2>/dev/null || true
    rm -f "$place/pid" "$place/docker.sock"
    ip link delete docker0 2>/dev/null || true
    for table in filter nat; do # the rules that the engine made, and no others
        iptables-save -t "$table" | grep -v DOCKER | grep -v docker0 | iptables-restore -T "$table" 2>/dev/null || true
    done
}

start() {
    install_packages docker.io iptables
    mkdir -p "$place/data" "$place/exec"
    stop
    setsid dockerd --data-root "$place/data" --exec-root "$place/exec" --pidfile "$place/pid" --host "$socket" \
        >"$place/log" 2>&1 </dev/null 9>&- &
    for _ in $(seq 300); do
        DOCKER_HOST=$socket docker_client version >/dev/null 2>&1 && return
        sleep 0.1
    done
    unavailable "dockerd doesn't start: $(tail -n 1 "$place/log")"
}

docker_client() {
    if [ -x /usr/bin/docker ]; then /usr/bin/docker "$@"; else docker "$@"; fi
}

if [ "${1:-start}" = stop ]; then
    stop
    exit 0
fi
exec 9>"$cache/docker.lock"
flock 9
if docker_client version >/dev/null 2>&1; then
    :
else
    need_root
    export DOCKER_HOST=$socket
    docker_client version >/dev/null 2>&1 || start
fi
if ! docker_client image inspect "$image" >/dev/null 2>&1; then
    make_base
    docker_client import "$base_tar" "$image" >/dev/null || unavailable "the base image can't be imported"
fi
make_wheels
[ -z "${DOCKER_HOST:-}" ] || echo "DOCKER_HOST=$DOCKER_HOST"
echo "TREADLE_DOCKER_BASE=$image"
echo "TREADLE_SANDBOX_WHEELS=$wheels"
