# Set-up shared by scripts/demo, scripts/test and scripts/lock. Sourced, not run.
# Leaves the machine as it was but for packages that it says it installs, and the folders .venv and build.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"
apt_is_fresh=no

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# The words that make a command run as root here; fails where that needs a password.
root_prefix() {
    if [ "$(id -u)" -eq 0 ]; then
        return 0
    fi
    command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && printf 'sudo -n'
}

can_install() {
    command -v apt-get >/dev/null 2>&1 && root_prefix >/dev/null
}

apt_install() {
    local prefix log
    prefix=$(root_prefix)
    log=$(mktemp)
    say "installing with apt-get: $*"
    if {
        [ "$apt_is_fresh" = yes ] || $prefix apt-get update -qq
        apt_is_fresh=yes
        $prefix env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } </dev/null >"$log" 2>&1; then
        rm -f "$log"
    else
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
}

# need COMMAND PACKAGE...: the command exists, or is installed, or its installation is named.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null 2>&1 && return 0
    can_install || die "$command is missing; type: sudo apt-get install -y $*"
    apt_install "$@"
    command -v "$command" >/dev/null 2>&1 || die "$command is still missing after installing $*"
}

# bubblewrap also comes as a wheel with the lock file, so here a missing one is not the end:
# the self-test of the cell says later whether the wall stands.
need_bubblewrap() {
    command -v bwrap >/dev/null 2>&1 && return 0
    if can_install && apt_install bubblewrap; then
        return 0
    fi
    say "note: bubblewrap is not installed; the one in the lock file is used"
    say "      (where that is refused, type: sudo apt-get install -y bubblewrap)"
}

# The server's programs only: no cluster is made and nothing is started.
need_postgres() {
    local config=/etc/postgresql-common/createcluster.conf prefix saved
    if command -v initdb >/dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
        return 0
    fi
    can_install || die "the tests need PostgreSQL's programs; type: sudo apt-get install -y postgresql"
    prefix=$(root_prefix)
    apt_install postgresql-common
    saved=$(mktemp)
    cat "$config" >"$saved"
    # Its package would start a cluster as it is installed; the setting is put back after.
    printf 'create_main_cluster = false\n' | $prefix tee -a "$config" >/dev/null
    apt_install postgresql
    $prefix tee "$config" <"$saved" >/dev/null
    rm -f "$saved"
}

# Real MCP servers that the tests start, and the suite that asks our own: exactly what their lock
# files name, by its hashes. Nothing of theirs runs while they are installed.
need_mcp_servers() {
    need node nodejs
    need npm npm
    need_npm_packages "$root/tests/mcp/npm" "$root/build/mcp-servers" 'MCP servers'
    need_npm_packages "$root/tests/conformance/npm" "$root/build/mcp-conformance" \
        'the MCP conformance suite'
    export MCP_TEST_SERVERS="$root/build/mcp-servers" MCP_CONFORMANCE="$root/build/mcp-conformance"
}

# need_npm_packages SOURCE PLACE NAME: PLACE holds what the lock file in SOURCE names.
need_npm_packages() {
    local source=$1 place=$2 name=$3 stamp log
    stamp=$({ cat "$source/package-lock.json" && node --version; } | sha256sum | cut -d' ' -f1)
    if [ "$(cat "$place/.stamp" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    say "installing $name for the tests into ${place#"$root"/}"
    rm -rf "$place"
    mkdir -p "$place"
    cp "$source/package.json" "$source/package-lock.json" "$place"
    log=$(mktemp)
    if ! (cd "$place" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier) \
        </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "$name for the tests could not be installed"
    fi
    rm -f "$log"
    printf '%s' "$stamp" >"$place/.stamp"
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Print the first Python of 3.11 or newer.
find_python() {
    local candidate
    for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
        if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    die "no Python of 3.11 or newer found; type: sudo apt-get install -y python3 python3-venv"
}

# Debian and Ubuntu ship Python without the module that makes environments.
need_venv_module() {
    local python=$1 package
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return 0
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    can_install || die "$python cannot make an environment; type: sudo apt-get install -y $package"
    apt_install "$package"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python still has no ensurepip"
}

# make_venv LOCK...: .venv holds exactly what the first lock file names, and this project.
# A later name is a lock file that holds more: where it is installed already, nothing is done.
make_venv() {
    local python lock stamp
    if [ -e "$venv" ] && ! is_new_enough "$venv/bin/python"; then
        say "making .venv anew: its Python is gone"
        rm -rf "$venv"
    fi
    if [ ! -e "$venv" ]; then
        python=$(find_python) || exit 1
        need_venv_module "$python"
        say "making .venv with $("$python" --version)"
        "$python" -m venv "$venv" || { rm -rf "$venv"; exit 1; }
    fi
    [ -w "$venv" ] || die ".venv belongs to somebody else; remove it and start again"
    for lock in "$@"; do
        if [ "$(cat "$venv/.stamp-$lock" 2>/dev/null)" = "$(stamp_of "$lock")" ]; then
            return 0
        fi
    done
    lock=$1
    stamp=$(stamp_of "$lock")
    say "installing what $lock names"
    rm -f "$venv"/.stamp-*
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes -r "$root/$lock" || die "the packages of $lock could not be installed"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --no-deps --no-build-isolation --editable "$root" || die "the project could not be installed"
    printf '%s' "$stamp" >"$venv/.stamp-$lock"
}

# Lock file, project file and place: an environment that was moved is not taken for this one.
stamp_of() {
    { cat "$root/$1" "$root/pyproject.toml" && printf '%s' "$root"; } | sha256sum | cut -d' ' -f1
}
