# A node: containerd, kubelet and kube-proxy.
# Invariant: all they write is below the node's folder, but for what `forget_traces` of `down` names.

node() { # N
    local n=$1 folder=$run/node$1
    mkdir -p "$folder/cni"
    : >"$folder/resolv.conf"
    make_cgroups "$n"
    containerd_settings "$folder" >"$folder/containerd.toml"
    pod_network "$n" "$folder" >"$folder/cni/10-pods.conflist"
    kubelet_settings "$n" "$folder" >"$folder/kubelet.yaml"
    start "containerd$n" "$n" containerd -c "$folder/containerd.toml"
    wait_for "containerd on node $n (containerd$n)" ctr -a "$folder/containerd.sock" version
    has_image "$n" localhost/pause:1 || load_program "$n" localhost/pause:1 "$bin/pause"
    start "kubelet$n" "$n" "$bin/kubelet" --kubeconfig="$run/node$n.kubeconfig" --config="$folder/kubelet.yaml" --root-dir="$folder/kubelet" \
        --hostname-override="node$n" --node-ip="10.250.0.$n" --cert-dir="$folder/kubelet-pki" --node-labels="topology.kubernetes.io/zone=zone-$n"
    start "proxy$n" "$n" "$bin/kube-proxy" --kubeconfig="$run/proxy.kubeconfig" --proxy-mode=nftables --hostname-override="node$n" \
        --cluster-cidr=10.244.0.0/16 --conntrack-max-per-core=0
}

# Two kubelets share this kernel, so each has control groups of its own.
make_cgroups() { # N
    local root name && name=$(netns "$1")
    for root in $(cgroup_roots); do
        if [ -f "$root/cgroup.subtree_control" ]; then
            for each in cpuset cpu io memory pids; do echo "+$each" >"$root/cgroup.subtree_control" 2>/dev/null || :; done
        fi
        mkdir -p "$root/$name"
        for each in cpus mems; do
            [ ! -f "$root/cpuset.$each" ] || cat "$root/cpuset.$each" >"$root/$name/cpuset.$each" 2>/dev/null || :
        done
    done
}

containerd_settings() { # FOLDER
    cat <<Y
version = 2
root = "$1/containerd"
state = "$1/containerd-state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$1/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$1/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$1/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$1/runc"
Y
}

pod_network() { # N FOLDER
    cat <<Y
{"cniVersion": "0.4.0", "name": "$id-pods", "plugins": [
  {"type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$2/ipam", "ranges": [[{"subnet": "10.244.$1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
Y
}

kubelet_settings() { # N FOLDER
    cat <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /$(netns "$1")
failSwapOn: false
containerRuntimeEndpoint: unix://$2/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/node$1.crt
tlsPrivateKeyFile: $pki/node$1.key
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: $2/resolv.conf
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 4s
podLogsDir: $2/podlogs
volumePluginDir: $2/volume-plugins
registerNode: true
Y
}

node_stop() { # N : the node's pods die with it, as when a machine loses power
    local n=$1 group
    for daemon in proxy kubelet containerd; do stop "$daemon$n" KILL; done
    for group in $(cgroups | grep -- "-node$n\$"); do
        find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un | xargs -r kill -KILL 2>/dev/null || :
    done
    # What watched over them names the node's folder.
    for pid in $(ip netns pids "$(netns "$n")"); do
        ! grep -qaF "$run/node$n/" "/proc/$pid/cmdline" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || :
    done
}
