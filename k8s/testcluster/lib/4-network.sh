# The network: node 1's namespace holds a bridge, node 2's hangs on it by a pair of devices. Nothing leads outside.

network() {
    local n one two
    one=$(netns 1) two=$(netns 2)
    for n in "$one" "$two"; do ip netns add "$n" && ip -n "$n" link set lo up; done
    ip -n "$one" link add node0 type bridge
    ip -n "$one" addr add $api/24 dev node0
    ip -n "$one" link set node0 up
    ip -n "$one" link add node2 type veth peer name eth0 netns "$two"
    ip -n "$one" link set node2 master node0 up
    ip -n "$two" addr add 10.250.0.2/24 dev eth0
    ip -n "$two" link set eth0 up
    ip -n "$one" route add default dev node0
    ip -n "$two" route add default via $api
    ip -n "$one" route add 10.244.2.0/24 via 10.250.0.2
    ip -n "$two" route add 10.244.1.0/24 via $api
    for n in 1 2; do in_node "$n" sysctl -qw net.ipv4.ip_forward=1; done
}

certificates() (
    cd "$pki"
    umask 077
    local name subject names
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 365 -subj /CN=testcluster 2>/dev/null
    openssl genrsa -out sa.key 2048 2>/dev/null
    while read -r name subject names; do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.csr" -subj "$subject" 2>/dev/null
        openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$name.crt" -extfile <(echo "subjectAltName=$names") 2>/dev/null
        kubeconfig "$name" >"$run/$name.kubeconfig"
    done <<Y
apiserver /CN=kube-apiserver DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:$api
kubelet-client /O=system:masters/CN=kubelet-client DNS:kubelet-client
admin /O=system:masters/CN=admin DNS:admin
controllers /CN=system:kube-controller-manager DNS:controllers
scheduler /CN=system:kube-scheduler DNS:scheduler
proxy /CN=system:kube-proxy DNS:proxy
node1 /O=system:nodes/CN=system:node:node1 DNS:node1,IP:10.250.0.1
node2 /O=system:nodes/CN=system:node:node2 DNS:node2,IP:10.250.0.2
Y
)

kubeconfig() { # NAME : the credentials of one of the certificates, whole, so that the file can be copied
    cat <<Y
apiVersion: v1
kind: Config
clusters: [{name: testcluster, cluster: {server: "https://$api:6443", certificate-authority-data: $(base64 -w 0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w 0 "$1.crt"), client-key-data: $(base64 -w 0 "$1.key")}}]
contexts: [{name: testcluster, context: {cluster: testcluster, user: $1}}]
current-context: testcluster
Y
}
