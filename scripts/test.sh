#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Runs elbo's tests, with a Vulkan driver where there is one or where one can be installed.

usage: scripts/test.sh [--strict] [what to pass on to `cargo test`]...

  --strict   what continuous integration runs: formatting, lints, the build without wgpu, and all tests
             with an adapter required; installs what it needs, and stops where one of them fails
  -h         this text

environment:
  ELBO_TEST_ADAPTER   require, auto (the default: tests without an adapter say so and pass) or off
  ELBO_PYTHON         a Python with onnxruntime, in which exported networks are run; default: python3, if it has it
  ELBO_WEBGPU         the npm package `webgpu`, in which shaders are compiled; default: none, with --strict it is installed
  ELBO_PLAYWRIGHT     the npm package `playwright-core`, by which pages are tried in Chromium; likewise
  ELBO_SHARED         a folder with data/mnist and data/torch_trace, for the checks on real data
END
}

# What Debian and Ubuntu call the loader and Mesa's drivers; the software driver is among them.
VULKAN_PACKAGES=(libvulkan1 mesa-vulkan-drivers)
# Open MPI, and what reads its headers when the program is built for it.
MPI_PACKAGES=(openmpi-bin libopenmpi-dev libclang-dev)
# What the program is built with beside its usual features, where it can be.
FEATURES=()
# Dawn for Node: the second compiler that every shader has to pass.
WEBGPU_VERSION=0.6.2
# What drives Debian's chromium: exported pages are tried in it.
PLAYWRIGHT_VERSION=1.65.1

say() {
    printf 'test.sh: %s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

run() {
    say "$*"
    "$@"
}

main() {
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    trap clean_up EXIT
    local strict=false
    case "${1:-}" in
        -h | --help) usage && exit ;;
        --strict) strict=true && shift ;;
    esac
    find_cargo
    make_runtime_folder
    if "$strict"; then
        strict_tests "$@"
    else
        export ELBO_TEST_ADAPTER="${ELBO_TEST_ADAPTER:-auto}"
        [ "$ELBO_TEST_ADAPTER" = off ] || provide_vulkan || advise_vulkan
        run cargo test "$@"
    fi
}

# The cheap check comes first. Lints are in a folder of their own, so that they go on beside what is fetched and built for the
# tests; nothing is kept for a next build, which on a fresh machine there will not be.
strict_tests() {
    export ELBO_TEST_ADAPTER=require CARGO_INCREMENTAL=0
    # The module for Python is built for any version of it, so that none need be there.
    export PYO3_NO_PYTHON=1 PYO3_BUILD_EXTENSION_MODULE=1
    provide_component fmt rustfmt
    provide_component clippy clippy
    provide_linker || fail "no C linker, and it could not be installed: install gcc"
    run cargo fmt --check
    provide_mpi || say "no Open MPI with libclang: training by several processes is tried with threads in their place alone"
    LINTS_SAID="$(mktemp)"
    lints >"$LINTS_SAID" 2>&1 &
    LINTS=$!
    provide_vulkan || fail "no Vulkan driver, and none could be installed: install ${VULKAN_PACKAGES[*]}"
    if [ -z "${ELBO_SHARED:-}" ]; then
        say "ELBO_SHARED is not set: the checks on real data will be skipped"
    fi
    provide_python || say "no Python with pandas, pytest and scikit-learn: the module for Python is built, and not tried"
    provide_onnxruntime || say "no onnxruntime for Python: exported networks are checked by the tests' own evaluator alone"
    provide_webgpu || say "no npm package webgpu $WEBGPU_VERSION: shaders are checked by naga alone, and not by Tint"
    provide_playwright || say "no chromium or npm package playwright-core $PLAYWRIGHT_VERSION: pages are not tried in a browser"
    local built=true clean=true
    run cargo test --workspace "${FEATURES[@]}" --no-run "$@" || built=false
    wait "$LINTS" || clean=false
    LINTS=
    cat "$LINTS_SAID" >&2
    "$built" || fail "the tests do not build"
    "$clean" || fail "lints have something to say, above"
    run cargo test --workspace "${FEATURES[@]}" "$@"
    run python_tests
}

lints() {
    local folder="${CARGO_TARGET_DIR:-target}/lints"
    run cargo clippy --target-dir "$folder" --workspace "${FEATURES[@]}" --all-targets -- -D warnings &&
        run cargo check --target-dir "$folder" --no-default-features
}

find_cargo() {
    command -v cargo >/dev/null || PATH="$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin"
    command -v cargo >/dev/null || fail "no Rust toolchain: install one from https://rustup.rs"
}

# provide_component SUBCOMMAND COMPONENT
provide_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    rustup component add "$2" && return
    fail "cargo $1 is missing: run \`rustup component add $2\`"
}

provide_linker() {
    command -v cc >/dev/null || install_packages gcc libc6-dev
}

# With Open MPI the program is built with the feature `mpi`, rather than once more: tests start it under `mpirun`.
provide_mpi() {
    has_mpi || { install_packages "${MPI_PACKAGES[@]}" && has_mpi; } || return
    FEATURES=(--features mpi)
}

has_mpi() {
    command -v mpirun >/dev/null && command -v mpicc >/dev/null && { [ -n "${LIBCLANG_PATH:-}" ] || has_libclang; }
}

has_libclang() {
    local file
    for file in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/x86_64-linux-gnu/libclang*.so* /usr/lib64/libclang*.so*; do
        [ -e "$file" ] && return
    done
    return 1
}

# A Python of its own beside what is built, in PYTHON, with what the tests of the module want.
provide_python() {
    local folder="${CARGO_TARGET_DIR:-target}/python"
    if [ ! -x "$folder/bin/python" ]; then
        python3 -m venv "$folder" 2>/dev/null || { install_packages python3-venv && python3 -m venv "$folder"; } || return
    fi
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check numpy pandas pytest scikit-learn || return
    PYTHON="$(cd "$folder" && pwd)/bin/python"
}

# What others run exported networks with, and read MIDI files and event files.
provide_onnxruntime() {
    [ -z "${ELBO_PYTHON:-}" ] || return 0
    [ -n "${PYTHON:-}" ] || return
    "$PYTHON" -m pip install --quiet --disable-pip-version-check onnxruntime mido tensorboard || return
    export ELBO_PYTHON="$PYTHON"
}

# The module as it is for tests, beside its Python, against the program. A wheel is the same in release.
python_tests() {
    [ -n "${PYTHON:-}" ] || return 0
    local built="${CARGO_TARGET_DIR:-target}/debug" home
    cargo build --workspace "${FEATURES[@]}" || return
    built="$(cd "$built" && pwd)" && home="$built/python-module"
    rm -rf "$home" && mkdir -p "$home" && cp -r python/elbo python/tests "$home/" || return
    cp "$built/lib_elbo.so" "$home/elbo/_elbo.abi3.so" || return
    (cd "$home" && ELBO_PROGRAM="$built/elbo" PYTHONPATH=. "$PYTHON" -m pytest -q -p no:cacheprovider tests) || return
    PYTHONPATH="$home" "$PYTHON" python/examples/tour.py
}

# The compiler of WGSL of Chrome, likewise; it needs no driver to compile.
provide_webgpu() {
    [ -z "${ELBO_WEBGPU:-}" ] || return 0
    npm_package webgpu "$WEBGPU_VERSION" || return
    ELBO_WEBGPU="$(cd "$PACKAGE" && pwd)" || return
    # A machine that cannot load it (another processor, an old C library) is one that does not have it.
    node "$ELBO_WEBGPU/index.js" </dev/null || return
    export ELBO_WEBGPU
}

# A browser, and what drives it; the package brings none of its own.
provide_playwright() {
    [ -z "${ELBO_PLAYWRIGHT:-}" ] || return 0
    [ -x /usr/bin/chromium ] || { install_packages chromium && [ -x /usr/bin/chromium ]; } || return
    npm_package playwright-core "$PLAYWRIGHT_VERSION" || return
    ELBO_PLAYWRIGHT="$(cd "$PACKAGE" && pwd)" || return
    export ELBO_PLAYWRIGHT
}

# npm_package NAME VERSION: leaves its folder in PACKAGE
npm_package() {
    # One each: npm takes away what was not saved when it installs something else.
    local folder="${CARGO_TARGET_DIR:-target}/node/$1"
    PACKAGE="$folder/node_modules/$1"
    has_node || { install_packages nodejs npm && has_node; } || return
    if ! grep -qs "\"version\": \"$2\"" "$PACKAGE/package.json"; then
        mkdir -p "$folder"
        npm install --prefix "$folder" --no-save --ignore-scripts --no-audit --no-fund --silent \
            "$1@$2" </dev/null || return
    fi
}

has_node() {
    command -v node >/dev/null && command -v npm >/dev/null
}

# Outside Linux there is nothing to install: Metal and DX12 come with the system.
provide_vulkan() {
    [ "$(uname -s)" = Linux ] || return 0
    has_vulkan || { install_packages "${VULKAN_PACKAGES[@]}" && has_vulkan; }
}

advise_vulkan() {
    say "no Vulkan driver: tests that need one will be skipped (Debian, Ubuntu: apt-get install ${VULKAN_PACKAGES[*]})"
}

has_vulkan() {
    has_vulkan_loader && has_vulkan_driver
}

has_vulkan_loader() {
    # Only root has ldconfig on its path everywhere; some systems have none that lists.
    case "$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null)" in
        *libvulkan.so.1*) return 0 ;;
    esac
    local folder
    while IFS= read -r -d : folder; do
        [ -e "$folder/libvulkan.so.1" ] && return
    done <<<"${LD_LIBRARY_PATH:-}:/usr/lib:/usr/lib64:/usr/local/lib:"
    return 1
}

# Looks where the loader looks: in the places that a variable names, or else in the usual folders.
has_vulkan_driver() {
    local named="${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}" place file
    local usual="${XDG_CONFIG_HOME:-${HOME:-}/.config}/vulkan/icd.d:/etc/xdg/vulkan/icd.d:/usr/local/etc/vulkan/icd.d"
    usual="$usual:/etc/vulkan/icd.d:${XDG_DATA_HOME:-${HOME:-}/.local/share}/vulkan/icd.d"
    usual="$usual:/usr/local/share/vulkan/icd.d:/usr/share/vulkan/icd.d"
    while IFS= read -r -d : place; do
        for file in "$place" "$place"/*.json; do
            case "$file" in
                *.json) [ -f "$file" ] && return ;;
            esac
        done
    done <<<"${named:-$usual}:"
    return 1
}

# Works for root, and for those who may become root without a password, where there is apt.
install_packages() {
    command -v apt-get >/dev/null || return
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return
    say "installing $*"
    # Package lists may be old, and mirrors have bad minutes.
    apt_get update && apt_get install "$@" && return
    sleep 5
    apt_get update && apt_get install "$@"
}

apt_get() {
    local as_root=(env DEBIAN_FRONTEND=noninteractive)
    [ "$(id -u)" = 0 ] || as_root=(sudo -n "${as_root[@]}")
    "${as_root[@]}" apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" </dev/null >/dev/null
}

# Mesa's software driver wants such a folder and complains on every start without one.
make_runtime_folder() {
    [ -d "${XDG_RUNTIME_DIR:-}" ] && return
    XDG_RUNTIME_DIR="$(mktemp -d)"
    export XDG_RUNTIME_DIR
    OWN_RUNTIME_FOLDER="$XDG_RUNTIME_DIR"
}

# However the script ends: nothing of it goes on, and no file of its own is left.
clean_up() {
    [ -z "${LINTS:-}" ] || pkill -P "$LINTS" 2>/dev/null || kill "$LINTS" 2>/dev/null || true
    rm -rf "${OWN_RUNTIME_FOLDER:-}" "${LINTS_SAID:-}"
}

main "$@"
