# The binaries: built from the Go modules of go.mod, kept under a name made from what they are built of.
# Invariant: a folder of binaries is complete: it is made beside and renamed.

sources() {
    (cd "$here" && cat go.mod go.sum cmd/*/*.go)
    declare -f build_into
}

build() {
    [ ! -x "$bin/kubelet" ] || return 0
    local wanted && wanted=$(sed -n 's/^go //p' "$here/go.mod")
    command -v go >/dev/null || fail 'Go is missing, which the binaries are built with' "install Go $wanted or later (https://go.dev/dl), or Debian's package golang"
    echo "cluster: building Kubernetes (about 7 minutes of two cores when nothing is cached)" >&2
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
    export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"
    go build -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor" \
        -o "$1/" ./cmd/... k8s.io/kubernetes/cmd/kubectl
    for name in kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubelet metrics-server; do ln -s kubernetes "$1/$name"; done
)
# A cluster that is up keeps what it was started with.
bin=$(readlink "$run/bin" || echo "$home/bin/$(sources | sha256sum | cut -c1-16)")
