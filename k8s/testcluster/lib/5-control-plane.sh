# The control plane: etcd, API server, controllers and scheduler, in node 1's namespace.

control_plane() {
    start etcd 1 etcd --data-dir "$run/etcd" --unsafe-no-fsync --listen-peer-urls http://127.0.0.1:2480 \
        --listen-client-urls http://127.0.0.1:2479 --advertise-client-urls http://127.0.0.1:2479
    start apiserver 1 "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2479 --advertise-address=$api --secure-port=6443 \
        --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.key" \
        --service-account-signing-key-file="$pki/sa.key" --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true \
        --authorization-mode=Node,RBAC --kubelet-client-certificate="$pki/kubelet-client.crt" \
        --kubelet-client-key="$pki/kubelet-client.key" --kubelet-preferred-address-types=InternalIP --enable-aggregator-routing=true \
        --requestheader-client-ca-file="$pki/ca.crt" --requestheader-username-headers=X-Remote-User \
        --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
        --proxy-client-cert-file="$pki/admin.crt" --proxy-client-key-file="$pki/admin.key"
    wait_for 'the API server (etcd, apiserver)' kubectl get --raw /readyz
    # The autoscaler looks three times as often as by default, so that tests of it are short.
    start controllers 1 "$bin/kube-controller-manager" --kubeconfig="$run/controllers.kubeconfig" --leader-elect=false \
        --bind-address=127.0.0.1 --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
        --flex-volume-plugin-dir="$run/volume-plugins" --use-service-account-credentials=true --horizontal-pod-autoscaler-sync-period=5s \
        --horizontal-pod-autoscaler-cpu-initialization-period=20s --node-monitor-grace-period=20s
    start scheduler 1 "$bin/kube-scheduler" --kubeconfig="$run/scheduler.kubeconfig" --leader-elect=false --bind-address=127.0.0.1
}
