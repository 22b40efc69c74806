# How guests are built for wasm32-unknown-unknown: sourced by core/build and plugins/build, and part of
# `windlass plugin build`. Needs nothing but bash and one of two toolchains: a rustup that has the target, or
# Debian's. WINDLASS_GUEST_TOOLCHAIN=rustup|debian skips the search; WINDLASS_GUEST_INSTALL=no installs nothing.

target=wasm32-unknown-unknown
debian_packages=(rustc-web cargo-web rust-web-src lld-22)

has_target() { # rustc
    local libraries
    libraries=$("$1" --print target-libdir --target "$target" 2>/dev/null) && [ -d "$libraries" ] &&
        compgen -G "$libraries/libcore-*" >/dev/null
}

has_debian() {
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && command -v wasm-ld-22 >/dev/null &&
        [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std" ]
}

# Prints the toolchain to use: rustup or debian.
choose_toolchain() {
    if [ -n "${WINDLASS_GUEST_TOOLCHAIN:-}" ]; then
        echo "$WINDLASS_GUEST_TOOLCHAIN"
    elif has_target rustc; then
        echo rustup
    elif has_debian; then
        echo debian
    elif [ "${WINDLASS_GUEST_INSTALL:-yes}" = no ]; then
        echo none
    elif command -v rustup >/dev/null && rustup target add "$target" >/dev/null 2>&1 && has_target rustc; then
        echo rustup
    elif command -v apt-get >/dev/null && install_debian && has_debian; then
        echo debian
    else
        echo none
    fi
}

install_debian() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
        as_root=(sudo -n)
    fi
    {
        "${as_root[@]}" apt-get install -y --no-install-recommends "${debian_packages[@]}" ||
            { "${as_root[@]}" apt-get update &&
                "${as_root[@]}" apt-get install -y --no-install-recommends "${debian_packages[@]}"; }
    } >&2
}

# Says what would bring a toolchain.
no_toolchain() { # who asks, what to do then
    echo "$1: no Rust toolchain here can build for $target: run \`rustup target add $target\`," \
        "or on Debian \`apt-get install ${debian_packages[*]}\`, and again $2." >&2
}

# Sees to it that what is built next holds no paths of this machine, as the places of panics do: a plugin is passed on.
hide_paths() {
    local home=${CARGO_HOME:-${HOME:-}/.cargo} flags=() source
    flags+=("--remap-path-prefix=$PWD=.")
    for source in "$home"/registry/src/*; do flags+=("--remap-path-prefix=$source=crates"); done
    export CARGO_ENCODED_RUSTFLAGS
    CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
}

# Runs cargo build for the target, with the profile `guest`.
cargo_build_guest() { # toolchain, target directory, arguments...
    local toolchain=$1 directory=$2
    shift 2
    local arguments=(build --profile guest --target "$target" "$@")
    case $toolchain in
    rustup) CARGO_TARGET_DIR=$directory cargo "${arguments[@]}" ;;
    debian)
        CARGO_TARGET_DIR=$directory CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 \
            RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
            /usr/bin/cargo -Z build-std=std,panic_abort "${arguments[@]}"
        ;;
    *) echo "no toolchain named '$toolchain': use rustup or debian" >&2 && return 2 ;;
    esac
}
