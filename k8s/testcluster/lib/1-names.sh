# Names, places and small words that all the other files use.
# Invariant: everything a cluster makes outside its home bears `$id`, which is made from that home; so `down`
# finds all of it without a list, and nothing that is not its own.
id=tc$(printf '%s' "$home" | sha256sum | cut -c1-6)
run=$home/run
pki=$run/pki
log=$run/log
api=10.250.0.1
# Daemons may not be told otherwise by the machine's settings.
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy KUBECONFIG

netns() { echo "$id-node$1"; }
in_node() { local n=$1 && shift && nsenter --net="/run/netns/$(netns "$n")" "$@"; }
kubectl() { in_node 1 "$bin/kubectl" --kubeconfig "$run/admin.kubeconfig" "$@"; }
node_ready() { kubectl get node "node$1" | grep -q ' Ready'; }

# Folders of the kernel's control groups: one for each controller (v1), or one for all (v2).
cgroup_roots() {
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo /sys/fs/cgroup; else find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d -writable; fi
}
cgroups() { local root && for root in $(cgroup_roots); do find "$root" -maxdepth 1 -type d -name "$id-node*"; done; }

fail() { # WHAT HELP
    printf 'cluster: %s\n  help: %s\n' "$1" "$2" >&2
    exit 1
}
need_root() { [ "$(id -u)" = 0 ] || fail 'network namespaces and control groups need root' 'run it as root, for example by sudo'; }
need_up() { [ -f "$run/admin.kubeconfig" ] || fail "no cluster of $home is up" "run \`$here/cluster up\` first"; }

# Debian's package of each program that is not built here.
programs='containerd:containerd ctr:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins
 etcd:etcd-server nft:nftables ip:iproute2 openssl:openssl nsenter:util-linux'
need_programs() {
    local each missing=()
    for each in $programs; do command -v "${each%%:*}" >/dev/null || missing+=("${each##*:}"); done
    [ ${#missing[@]} = 0 ] || fail 'programs are missing' "apt-get install $(printf '%s\n' "${missing[@]}" | sort -u | xargs)"
}

wait_for() { # WHAT COMMAND... : up to 60 s
    local what=$1 until=$((SECONDS + 60)) && shift
    while [ $SECONDS -lt $until ]; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.2
    done
    tail -n 3 "$log"/*.log >&2 || :
    fail "$what did not come up in 60 s" "read the logs in $log; \`$here/cluster down\` removes what there is"
}

environment() {
    printf 'CLUSTER_KUBECONFIG=%s\nCLUSTER_KUBECTL=%s\nCLUSTER_NETNS=%s\nCLUSTER_ADDRESS=%s\n' \
        "$run/admin.kubeconfig" "$bin/kubectl" "$(netns 1)" "$api"
}
