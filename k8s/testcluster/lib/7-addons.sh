# What a cluster has beside its own daemons: names, metrics and volumes. CoreDNS and metrics-server run beside the
# control plane and are reached through Services with endpoints made by hand.

addons() {
    cat >"$run/Corefile" <<Y
.:53 {
    bind $api
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $run/admin.kubeconfig testcluster
        pods insecure
    }
    cache 5
}
Y
    start coredns 1 "$bin/coredns" -conf "$run/Corefile"
    start metrics 1 "$bin/metrics-server" --secure-port=4443 --cert-dir="$run/metrics-pki" --kubeconfig="$run/admin.kubeconfig"
    kubectl apply -f "$here/addons.yaml" >/dev/null
}

# Volumes: folders of the nodes, bound to the first claim that asks. Nobody makes them as they are asked for, so
# there is a stock of them; `cluster volumes` empties those that were let go and offers them again.
stock=10

volumes() {
    local name
    for name in $(kubectl get persistentvolumes -o 'jsonpath={range .items[?(@.status.phase=="Released")]}{.metadata.name}{" "}{end}'); do
        kubectl delete persistentvolume "$name" >/dev/null
        rm -rf "$run/${name%%-*}/volumes/$name"
    done
    for n in 1 2; do
        for i in $(seq "$stock"); do volume "$n" "node$n-$i"; done
    done | kubectl apply -f - >/dev/null
}

volume() { # N NAME
    mkdir -p "$run/node$1/volumes/$2"
    cat <<Y
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: $2}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: folder
  local: {path: $run/node$1/volumes/$2}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node$1]}]}]}}
Y
}
