# The binaries: built from the Go modules of go.mod, kept under a name made from what they are built of.
# Invariant: a folder of binaries is complete: it is made beside and renamed.
metrics_server=v0.7.2

sources() {
    (cd "$here" && cat go.mod go.sum cmd/*/*.go)
    echo "$metrics_server"
    declare -f build_into
}

build() {
    [ ! -x "$bin/kubelet" ] || return 0
    local wanted && wanted=$(sed -n 's/^go //p' "$here/go.mod")
    command -v go >/dev/null || fail 'Go is missing, which the binaries are built with' "install Go $wanted or later (https://go.dev/dl), or Debian's package golang"
    echo "cluster: building Kubernetes (about 10 minutes of two cores when nothing is cached)" >&2
    rm -rf "$home/bin/making" && mkdir -p "$home/bin/making"
    build_into "$home/bin/making"
    # Others that were built of something else are of no use any more.
    find "$home/bin" -mindepth 1 -maxdepth 1 -type d ! -name making -exec rm -rf {} +
    mv "$home/bin/making" "$bin"
}

build_into() (
    cd "$here"
    version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' go.mod | head -n 1)
    minor=${version#v1.} && minor=${minor%%.*}
    stamp=k8s.io/component-base/version
    export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" GOBIN=$1
    go build -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor" \
        -o "$1/" ./cmd/... k8s.io/kubernetes/cmd/kubectl
    for name in kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubelet; do ln -s kubernetes "$1/$name"; done
    # Of a module of its own: it needs other versions of what the rest is made of.
    go install -ldflags '-s -w' "sigs.k8s.io/metrics-server/cmd/metrics-server@$metrics_server"
)
# A cluster that is up keeps what it was started with.
bin=$(readlink "$run/bin" || echo "$home/bin/$(sources | sha256sum | cut -c1-16)")
