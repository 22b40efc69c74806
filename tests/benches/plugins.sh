#!/usr/bin/env bash
# Builds the plugins in JavaScript and Python that the benchmark `plugins` measures: what `windlass plugin new` makes for
# `backoff`, each as backoff-LANGUAGE.wasm. What is fresh is not built again: it is newer than its template and the
# contract.
#
#   tests/benches/plugins.sh
#
# Environment:
#   WINDLASS_BINARY             the program that makes and builds them (else what `make build` leaves)
#   WINDLASS_PLUGINS_DIRECTORY  where the components go (else target/plugins)
#
# Exit status: 0 ready; 77 what builds those of a language cannot be had on this machine, which is said; else an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

windlass=${WINDLASS_BINARY:-${CARGO_TARGET_DIR:-target}/debug/windlass}
out=${WINDLASS_PLUGINS_DIRECTORY:-target/plugins}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Ends with 77 where there are no tools.
build() { # language, and what its tools are called in a plugin's directory
    local language=$1 name=backoff-$1 tools
    if [ -e "$out/$name.wasm" ] &&
        [ -z "$(find "plugins/sdk/$language/template" plugins/sdk/cases wit -newer "$out/$name.wasm")" ]; then
        echo "$out/$name.wasm: fresh"
        return
    fi
    tools=$(tests/build-plugin-tools "$language") || return
    "$windlass" plugin new "$name" --decision backoff --language "$language" --in "$work" >&2 || return
    ln -s "$tools" "$work/$name/$2" || return
    "$windlass" plugin build "$work/$name" >&2 || return
    mv "$work/$name/$name.wasm" "$out/$name.wasm" || return
    printf '%s: %s bytes\n' "$out/$name.wasm" "$(wc -c <"$out/$name.wasm")"
}

outcome=0
for language in 'javascript node_modules' 'python .venv'; do
    status=0
    # shellcheck disable=SC2086 # Two words.
    build $language || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || exit "$status"
    [ "$status" -eq 0 ] || outcome=77
done
exit "$outcome"
