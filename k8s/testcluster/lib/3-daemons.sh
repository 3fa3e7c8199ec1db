# Daemons, and an end for all of them.
# Invariant: what is killed is what runs in a network namespace or a control group of this cluster, whatever files say.

start() { # NAME NODE COMMAND... : a daemon in a node's namespace, its pid and log kept under run/
    local name=$1 node=$2 && shift 2
    (exec nsenter --net="/run/netns/$(netns "$node")" setsid "$@") >>"$log/$name.log" 2>&1 </dev/null &
    echo $! >"$run/$name.pid"
}

stop() { # NAME SIGNAL : and KILL after 10 s
    local file=$run/$1.pid pid until=$((SECONDS + 10))
    [ -f "$file" ] || return 0
    pid=$(cat "$file") && rm -f "$file"
    # A number that was given to another since is not ours any more.
    ip netns pids "$id-node1" 2>/dev/null | grep -qx "$pid" || ip netns pids "$id-node2" 2>/dev/null | grep -qx "$pid" || return 0
    kill -"$2" "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        [ $SECONDS -lt $until ] || kill -KILL "$pid" 2>/dev/null || :
        sleep 0.1
    done
}

# All that lives in the cluster: daemons and what they started in the nodes' namespaces, and what runs in pods.
processes() {
    local n group
    {
        for n in 1 2; do ip netns pids "$(netns "$n")" 2>/dev/null || :; done
        for group in $(cgroups); do find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null || :; done
    } | sort -un | grep -vx "$$" || :
}

kill_all() {
    local left until=$((SECONDS + 15))
    while left=$(processes) && [ -n "$left" ]; do
        [ $SECONDS -lt $until ] || fail "processes do not end: $(echo $left)" 'look for processes in state D'
        # What is frozen does not die.
        for group in $(cgroups); do
            find "$group" -name freezer.state -exec sh -c 'echo THAWED >"$1"' _ {} \; 2>/dev/null || :
        done
        kill -KILL $left 2>/dev/null || :
        sleep 0.1
    done
}
