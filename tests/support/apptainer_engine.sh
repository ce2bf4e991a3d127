#!/usr/bin/env bash
# Makes Apptainer in a folder of its own, unless one is on PATH, and a Debian sandbox image for it. Prints
# lines for `eval` or a .env reader:
#   TREADLE_APPTAINER=...           folder with `apptainer` and `singularity`, for PATH
#   TREADLE_APPTAINER_BASE=...      a sandbox image to build from
#   TREADLE_SANDBOX_WHEELS=...      folder with the wheels of the sandbox server
# Debian has Apptainer in unstable alone, for a newer C library: both are unpacked here, and the program is
# told to use that library. Everything is kept in TREADLE_ENGINES; 3 minutes the first time, 5 s later. Exit
# status 3: it can't be had here, and the last line on standard error says why.
engine=Apptainer
# shellcheck source=tests/support/sandbox_base.sh
source "$(dirname "$0")/sandbox_base.sh"
place=$cache/apptainer
image=$place/base

unstable() { # apt-get with a root of its own that knows Debian unstable alone
    apt-get -o Dir::State="$place/apt/state" -o Dir::Cache="$place/apt/cache" -o Dir::Etc::SourceList="$place/apt/list" \
        -o Dir::Etc::SourceParts=/dev/null -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root "$@"
}

fetch() {
    local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' | awk '$2 == "main" && $1 !~ /security/ { print $1; exit }')
    mkdir -p "$place"/apt/{state/lists/partial,cache/archives/partial} "$place/deb"
    echo "deb [signed-by=$keyring] $mirror unstable main" >"$place/apt/list"
    { unstable update -qq && (cd "$place/deb" && rm -f ./*.deb && unstable download -qq apptainer libc6 libseccomp2 libsqlite3-0); } \
        >"$place/apt.log" 2>&1 </dev/null || unavailable "the packages can't be had; see $place/apt.log"
}

install() {
    install_packages squashfs-tools squashfuse fuse3 fuse2fs uidmap patchelf
    fetch
    rm -rf "$place/root" && mkdir -p "$place/root" "$place/lib"
    local package program
    for package in "$place"/deb/*.deb; do dpkg-deb -x "$package" "$place/root"; done
    # The libraries stand apart, so that no other program here ever finds them.
    find "$place/root" \( -name 'ld-linux-x86-64.so.2' -o -name 'lib*.so.*' \) \( -type f -o -type l \) -path '*x86_64-linux-gnu*' \
        -exec cp -P -t "$place/lib" {} +
    for program in "$place/root/usr/bin/apptainer" $(find "$place/root" -type f -name starter); do
        patchelf --set-interpreter "$place/lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$place/lib" "$program"
    done
    configure
}

configure() { # it looks below the prefix it is found in, which is root/usr
    ln -sfn ../etc "$place/root/usr/etc"
    ln -sfn ../var "$place/root/usr/var"
    ln -sfn ../../var "$place/root/usr/lib/var" # where the containers are mounted meanwhile
    mkdir -p "$place/bin" "$place/root/var/lib/apptainer/mnt/session"
    ln -sf "$place/root/usr/bin/apptainer" "$place/bin/apptainer"
    ln -sf apptainer "$place/bin/singularity"
    sed -i 's/^#* *systemd cgroups = .*/systemd cgroups = no/; s/^#* *root default capabilities = .*/root default capabilities = no/' \
        "$place/root/etc/apptainer/apptainer.conf"
}

exec 9>"$cache/apptainer.lock"
flock 9
if found=$(command -v apptainer); then
    bin=$(dirname "$found")
else
    need_root
    [ "$(uname -m)" = x86_64 ] || unavailable "this recipe is for x86-64"
    bin=$place/bin
    if [ ! -e "$place/complete" ] || ! "$bin/apptainer" --version >/dev/null 2>&1; then
        install
        "$bin/apptainer" --version >/dev/null 2>"$place/version.log" || unavailable "it doesn't run: $(tail -n 1 "$place/version.log")"
        touch "$place/complete"
    fi
fi
if [ ! -e "$image/.singularity.d" ]; then
    make_base
    rm -rf "$place/raw" "$image" && mkdir -p "$place/raw"
    tar -C "$place/raw" --numeric-owner -xf "$base_tar"
    "$bin/apptainer" build --sandbox "$image" "$place/raw" >"$place/build.log" 2>&1 </dev/null ||
        unavailable "the base image can't be built; see $place/build.log"
    rm -rf "$place/raw"
fi
make_wheels
echo "TREADLE_APPTAINER=$bin"
echo "TREADLE_APPTAINER_BASE=$image"
echo "TREADLE_SANDBOX_WHEELS=$wheels"
