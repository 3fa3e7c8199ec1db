# Images: one layer made from a folder, imported straight into the nodes, since there is no registry.

on_node() { local n=$1 && shift && ctr -a "$run/node$n/containerd.sock" -n k8s.io "$@"; }
has_image() { on_node "$1" images ls -q | grep -qx "$2"; }

# NAME:TAG PROGRAM [FILE...]: the program is the entry point; what it is linked to at run time comes with it.
image() {
    local name=$1 folder && shift
    folder=$(program_folder "$@")
    pack "$name" "$folder" "[\"/$(basename "$1")\"]"
    rm -r "$folder"
}

rootfs() { # NAME:TAG FOLDER [COMMAND]
    pack "$1" "$2" "[${3:+\"$3\"}]"
}

# NAME:TAG OTHER:TAG: another name of the same image.
tag() {
    local n
    for n in 1 2; do on_node "$n" images tag --force "$1" "$2" >/dev/null; done
}

load_program() { # NODE NAME:TAG PROGRAM
    local n=$1 name=$2 folder archive && shift 2
    folder=$(program_folder "$@") archive=$(archive "$name" "$folder" "[\"/$(basename "$1")\"]")
    on_node "$n" images import "$archive/image.tar" >/dev/null
    rm -r "$folder" "$archive"
}

program_folder() { # PROGRAM [FILE...]
    local folder library && folder=$(mktemp -d "$run/image.XXXXXX")
    mkdir -p "$folder/etc" && mkdir -m 1777 "$folder/tmp" && chmod 755 "$folder"
    install -m 755 "$1" "$folder/"
    # Symbols for debuggers are most of an optimised program; they stay where it was built.
    ! command -v strip >/dev/null || strip --strip-debug "$folder/$(basename "$1")"
    [ $# = 1 ] || cp "${@:2}" "$folder/"
    # A static program has none; `ldd` fails on it.
    for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | sort -u); do install -D "$library" "$folder$library"; done
    echo "$folder"
}

pack() { # NAME:TAG FOLDER ENTRYPOINT
    local archive n pids=() && archive=$(archive "$@")
    for n in 1 2; do on_node "$n" images import "$archive/image.tar" >/dev/null & pids+=($!); done
    for pid in "${pids[@]}"; do wait "$pid"; done
    rm -r "$archive"
}

archive() { # NAME:TAG FOLDER ENTRYPOINT : a folder with image.tar in the form of `docker save`
    local place digest && place=$(mktemp -d "$run/image.XXXXXX")
    tar -C "$2" --numeric-owner -cf "$place/layer.tar" .
    digest=$(sha256sum "$place/layer.tar" | cut -d ' ' -f 1)
    printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$(go_architecture)" "$3" "$digest" >"$place/config.json"
    echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$1\"],\"Layers\":[\"layer.tar\"]}]" >"$place/manifest.json"
    tar -C "$place" -cf "$place/image.tar" manifest.json config.json layer.tar
    rm "$place/layer.tar"
    echo "$place"
}

go_architecture() { case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac; }
