# The end: whatever state `up` was left in, nothing of this cluster stays.
# Invariant: only what bears this cluster's id, or lies below its home, is touched.

exists() { [ -e "$run" ] || [ -n "$(leftovers)" ]; }

# Settings of the whole machine that a kubelet changes, kept beside `run` until they are put back.
settings='vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes'
remember_settings() {
    mkdir -p "$home"
    for each in $settings; do echo "$each=$(sysctl -n "$each")"; done >"$home/settings"
}
restore_settings() {
    [ -f "$home/settings" ] || return 0
    sysctl -qp "$home/settings" || :
    rm "$home/settings"
}

down() {
    kill_all
    # Where the shims that were killed had their sockets: a folder they share with other containerds.
    shim_sockets | xargs -r rm -f
    mounts | sort -r | xargs -r umount -l
    for n in 1 2; do ! [ -e "/run/netns/$(netns "$n")" ] || ip netns del "$(netns "$n")"; done
    remove_cgroups
    forget_traces
    rm -rf "$run"
    restore_settings
    rmdir /run/containerd/s /run/containerd 2>/dev/null || :
}

# A control group may be busy for a moment after its last process has ended.
remove_cgroups() {
    local left until=$((SECONDS + 10))
    while left=$(cgroups) && [ -n "$left" ]; do
        [ $SECONDS -lt $until ] || fail "control groups are busy: $(echo $left)" 'look for processes in them'
        find $left -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
}

shim_sockets() {
    find "$run"/node*/containerd-state/io.containerd.runtime.v2.task -maxdepth 3 -name address -exec sed -n 's/^unix:\/\/\(\/run\/containerd\/s\/.*\)/\1\n/p' {} + 2>/dev/null || :
}

mounts() { awk -v below="$run/" 'index($5, below) == 1 {print $5}' /proc/self/mountinfo; }

# What kubelet and the network plugins write at places that no option moves.
traces() {
    find /var/lib/cni/results -name "$id-pods-*" 2>/dev/null || :
    find /var/log/containers -type l -lname "$run/*" 2>/dev/null || :
}
forget_traces() { traces | xargs -r rm -f; }

leftovers() {
    local each
    for each in $(processes); do echo "process $each: $(tr '\0' ' ' <"/proc/$each/cmdline" 2>/dev/null | cut -c1-80)"; done
    mounts | sed 's/^/mount /'
    ip netns list 2>/dev/null | awk -v name="$id-node" 'index($1, name) == 1 {print "network namespace " $1}'
    cgroups | sed 's/^/control group /'
    traces | sed 's/^/file /'
}

left() {
    local found && found=$(leftovers)
    [ ! -e "$run" ] || found+=$'\n'"folder $run"
    [ -z "${found//$'\n'/}" ] || { printf '%s\n' "$found"; fail 'something of the cluster is there' "run \`$here/cluster down\`"; }
    echo 'nothing of the cluster is there'
}
