#!/usr/bin/env bash
# Builds the programs of the test cluster (tests/cluster/go) into the user's cache, which all checkouts share, and prints the folder
# that holds them: bin/ and crds/. The first build takes about 11 CPU-minutes, later ones nothing.
# usage: build-cluster.sh api|node|helm ...   what to build
#        build-cluster.sh --where             only prints the folder, whatever is in it
set -euo pipefail
cd "$(dirname "$0")/../tests/cluster/go"

API="cert-manager kube-apiserver kube-controller-manager"
NODE="kube-scheduler kube-proxy pause cluster-dns kubelet"
KUBERNETES=$(sed -n 's/^\tk8s.io\/kubernetes v//p' go.mod)
UNUSED_DAYS=14

say() { printf '\033[2m· %s\033[0m\n' "$*" >&2; }
fail() { printf 'build-cluster: %s\n' "$*" >&2; exit 1; }

cache="${XDG_CACHE_HOME:-$HOME/.cache}/weft/cluster"
hash=$(find . -type f \( -name '*.go' -o -name 'go.*' \) | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-16)
folder="$cache/$hash"
[ "${1:-}" = --where ] && { echo "$folder"; exit 0; }

programs=()
# Distributions rarely have kubectl.
command -v kubectl >/dev/null 2>&1 || programs+=(kubectl)
for level in "$@"; do
  case "$level" in
    api) programs+=($API) ;; node) programs+=($API $NODE) ;; helm) programs+=(helm) ;;
    *) fail "unknown level $level: api, node and helm are known" ;;
  esac
done

missing() { for program in "${programs[@]}"; do [ -x "$folder/bin/$program" ] || echo "$program"; done | sort -u; }

# A line for every package that Go compiles would be too much, none for minutes too little.
progress() {
  awk '/^go: downloading/ { if (++modules == 1) { printf "· downloading Go modules\n"; fflush() }; next }
       /^[A-Za-z0-9.]+[^ :]*$/ { if (++packages % 200 == 0) { printf "· compiled %d packages\n", packages; fflush() }; next }
       { print; fflush() }' >&2
}

if [ -n "$(missing)" ]; then
  command -v go >/dev/null 2>&1 || fail "go was not found. Install Go $(sed -n 's/^go //p' go.mod) or newer to build Kubernetes for the tests."
  mkdir -p "$folder/bin"
  # Another checkout may be building: one build uses every core already.
  if command -v flock >/dev/null 2>&1; then
    exec 9>"$cache/lock"
    flock -n 9 || { say "another build of the test cluster is running: waiting for it"; flock 9; }
  fi
fi

wanted=$(missing)
if [ -n "$wanted" ]; then
  # Other sources' programs that nobody started for long.
  find "$cache" -mindepth 1 -maxdepth 1 -type d ! -path "$folder" -mtime "+$UNUSED_DAYS" -exec rm -rf {} +
  version="-X k8s.io/component-base/version.gitVersion=v$KUBERNETES -X k8s.io/client-go/pkg/version.gitVersion=v$KUBERNETES"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    version="$version -X $package.gitMajor=$(cut -d. -f1 <<<"$KUBERNETES") -X $package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES")"
  done
  # Each by itself, so that a build that was interrupted goes on where it was. Go shares what they have in common.
  for program in $wanted; do
    say "building $program for the test cluster (the first build takes minutes, later ones none)"
    package=./cmd/$program
    [ "$program" = helm ] && package=helm.sh/helm/v4/cmd/helm
    [ "$program" = kubectl ] && package=k8s.io/kubernetes/cmd/kubectl
    CGO_ENABLED=0 go build -v -trimpath -ldflags "-s -w $version" -o "$folder/bin/$program.new" "$package" 2> >(progress)
    mv "$folder/bin/$program.new" "$folder/bin/$program"
  done
fi

if [ ! -d "$folder/crds" ] && [ -x "$folder/bin/cert-manager" ]; then
  rm -rf "$folder/crds.new"
  mkdir "$folder/crds.new"
  cp "$(go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)"/deploy/crds/*cert-manager.io_*.yaml "$folder/crds.new/"
  chmod u+w "$folder/crds.new"/*
  mv "$folder/crds.new" "$folder/crds"
fi
touch "$folder" 2>/dev/null || true
echo "$folder"
