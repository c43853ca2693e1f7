/**
 * Builds the images of Weft as OCI archives, without a container engine and without root: `make images`.
 *
 *   dist/images/control-plane.tar   Debian's glibc, CA certificates, Node, weft
 *   dist/images/proxy.tar           the same layers, Envoy, nft and iptables
 *
 * No shell and no package manager is in them. Debian packages come from the machine's own apt sources by `apt-get download`; they, Envoy and
 * compressed layers are kept in .cache/images. `--fresh` fetches the packages again, `--only control-plane` builds one image,
 * `--rootfs FOLDER` also leaves the merged root file system of each there. deploy/docker has Dockerfiles with the same content.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { EXTERNAL_PACKAGES } from './bundle.mjs';
import { createOciImage, packLayer } from './oci-image.mjs';

/** Debian packages of each layer. Fixed, with their dependencies; those that only install other packages or run scripts are left out. */
const PACKAGES = {
  base: ['base-files', 'ca-certificates', 'libc6', 'libgcc-s1', 'libstdc++6'],
  redirect: [
    'iproute2',
    'iptables',
    'libbpf1',
    'libbsd0',
    'libcap2',
    'libedit2',
    'libelf1',
    'libgmp10',
    'libip4tc2',
    'libip6tc2',
    'libjansson4',
    'libmd0',
    'libmnl0',
    'libnetfilter-conntrack3',
    'libnfnetlink0',
    'libnftables1',
    'libnftnl11',
    'libtinfo6',
    'libxtables12',
    'nftables',
    'zlib1g',
  ],
};

/** What a container never reads: character sets of iconv, documentation but licences, translations, tools of libc. */
const UNUSED = [
  /^usr\/share\/(man|info|locale|lintian|bug|doc-base|base-files|gcc|gdb|iptables|dict|common-licenses\/.*\.gz)(\/|$)/,
  /^usr\/share\/doc\/[^/]+\/(?!copyright$)/,
  /^(usr\/)?lib\/[^/]+\/(gconv|audit)(\/|$)/,
  /^usr\/(bin|sbin)\/(?!(nft|xtables-.*)$)/,
  /^s?bin\/(?!ip$)/,
  /^usr\/lib\/tc(\/|$)/,
  /^(etc\/(ca-certificates|default|dpkg|init\.d|ld\.so\.conf\.d|motd|issue.*|profile.*|skel|update-motd\.d|nftables\.conf|host\.conf|gai\.conf|bindresvport.*|ethertypes|rpc))(\/|$)/,
  /^(home|boot|root|media|mnt|opt|srv|var\/(backups|cache|local|log|lock|mail|spool|opt))(\/|$)/,
];

/** Names under which iptables is called, as Debian's alternatives set them: the variant on nftables. */
const IPTABLES = ['iptables', 'iptables-restore', 'iptables-save', 'ip6tables', 'ip6tables-restore', 'ip6tables-save'];
const USER = 5678;
const VERSION = JSON.parse(readFileSync('package.json', 'utf8')).version;
const CACHE = '.cache/images';
const STAGE = `${CACHE}/stage`;

const { values: options } = parseArgs({
  options: {
    fresh: { type: 'boolean' },
    only: { type: 'string' },
    rootfs: { type: 'string' },
    tag: { type: 'string' },
  },
});
const tag = options.tag ?? VERSION;

function say(text) {
  process.stderr.write(process.stderr.isTTY ? `\u001b[2m· ${text}\u001b[22m\n` : `· ${text}\n`);
}

function fail(text) {
  process.stderr.write(`images: ${text}\n`);
  process.exit(1);
}

function output(program, args, extra = {}) {
  return execFileSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
    ...extra,
  });
}

/** Folder with the .deb files of a layer. */
function fetchPackages(layer) {
  const folder = `${CACHE}/debs-${layer}`;
  const names = PACKAGES[layer];
  const stamp = `${folder}/complete`;
  if (options.fresh === true) rmSync(folder, { recursive: true, force: true });
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === names.join(' ')) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  say(`fetching ${names.length} Debian packages (${layer})`);
  // Lists and caches of our own: the machine's may be missing or old, and only root may renew them.
  const state = join(process.cwd(), CACHE, 'apt');
  mkdirSync(`${state}/lists/partial`, { recursive: true });
  mkdirSync(`${state}/cache/archives/partial`, { recursive: true });
  const apt = ['-qq', '-o', `Dir::State=${state}`, '-o', `Dir::Cache=${state}/cache`, '-o', 'APT::Sandbox::User='];
  try {
    if (options.fresh === true || readdirSync(`${state}/lists`).length < 2) output('apt-get', [...apt, 'update']);
    output('apt-get', [...apt, 'download', ...names], { cwd: folder });
  } catch (error) {
    fail(
      `fetch Debian packages: ${String(error.stderr ?? error.message)
        .trim()
        .split('\n')
        .at(-1)}; --fresh reads the package lists again`,
    );
  }
  writeFileSync(stamp, names.join(' '));
  return folder;
}

/** Unpacks the packages of a layer into its stage, without what is not used, with a record of each for scanners. */
function stagePackages(layer, into) {
  const folder = fetchPackages(layer);
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith('.deb'))
    .sort()) {
    output('dpkg-deb', ['--extract', join(folder, file), into]);
    const control = output('dpkg-deb', ['--field', join(folder, file)]);
    // Where scanners look for the packages of an image without dpkg.
    write(into, `var/lib/dpkg/status.d/${file.split('_')[0]}`, control);
  }
  prune(into, '');
}

function prune(root, at) {
  for (const entry of readdirSync(join(root, at), { withFileTypes: true })) {
    const path = at === '' ? entry.name : `${at}/${entry.name}`;
    if (UNUSED.some((pattern) => pattern.test(path))) {
      rmSync(join(root, path), { recursive: true });
    } else if (entry.isDirectory()) {
      prune(root, path);
      if (readdirSync(join(root, path)).length === 0) rmSync(join(root, path), { recursive: true });
    }
  }
}

function write(root, path, text, mode = 0o644) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  chmodSync(join(root, path), mode);
}

/** glibc, certificates and the few files that programs expect in /etc. */
function stageBase(into) {
  stagePackages('base', into);
  const certificates = join(into, 'usr/share/ca-certificates/mozilla');
  const pem = readdirSync(certificates)
    .sort()
    .map((name) => readFileSync(join(certificates, name), 'utf8').trimEnd());
  rmSync(join(into, 'usr/share/ca-certificates'), { recursive: true });
  write(into, 'etc/ssl/certs/ca-certificates.crt', `${pem.join('\n')}\n`);
  write(
    into,
    'etc/passwd',
    `root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nweft:x:${USER}:${USER}:weft:/var/lib/weft:/sbin/nologin\n`,
  );
  write(into, 'etc/group', `root:x:0:\nnogroup:x:65534:\nweft:x:${USER}:\n`);
  write(into, 'etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
  for (const folder of ['tmp', 'var/lib/weft', 'run']) mkdirSync(join(into, folder), { recursive: true });
  chmodSync(join(into, 'tmp'), 0o1777);
  // Owned by root in the layer; whoever runs it writes here, or mounts a volume over it.
  chmodSync(join(into, 'var/lib/weft'), 0o1777);
}

function stageNode(into) {
  const program = process.execPath;
  mkdirSync(join(into, 'usr/local/bin'), { recursive: true });
  cpSync(program, join(into, 'usr/local/bin/node'), { dereference: true });
  chmodSync(join(into, 'usr/local/bin/node'), 0o755);
  const license = join(dirname(program), '../node_modules', `node-${process.platform}-${process.arch}`, 'LICENSE');
  const beside = join(dirname(program), '../LICENSE');
  const text = [beside, license].find((path) => existsSync(path) && readFileSync(path, 'utf8').includes('Node.js'));
  if (text !== undefined) write(into, 'usr/share/doc/node/copyright', readFileSync(text, 'utf8'));
}

/** The bundle, the small programs beside it, and the packages that stay outside of bundles. */
async function stageWeft(into) {
  const home = join(into, 'opt/weft');
  mkdirSync(home, { recursive: true });
  cpSync('dist/bundle', join(home, 'dist/bundle'), { recursive: true });
  cpSync('dist/bin/weft.js', join(home, 'dist/bin/weft.js'));
  await build({
    entryPoints: ['dist/bin/ca-plugin.js', 'dist/bin/dataplane.js', 'dist/bin/demo-service.js'],
    outdir: join(home, 'dist/bin'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'warning',
  });
  const { name, version, type, license } = JSON.parse(readFileSync('package.json', 'utf8'));
  write(home, 'package.json', `${JSON.stringify({ name, version, type, license, private: true })}\n`);
  write(home, 'LICENSE', readFileSync('LICENSE', 'utf8'));
  for (const path of closure(EXTERNAL_PACKAGES)) {
    cpSync(path, join(home, path), {
      recursive: true,
      filter: (file) => !/\.(d\.[cm]?ts|map|md)$|\/(test|tests|docs|\.github)$/.test(file),
    });
  }
  write(into, 'usr/local/bin/weft', "#!/usr/local/bin/node\nimport('/opt/weft/dist/bin/weft.js');\n", 0o755);
}

/** Folders of packages and of all they depend on. */
function closure(names) {
  const found = new Set();
  const visit = (name, from) => {
    const nested = `${from}/node_modules/${name}`;
    const path = existsSync(nested) ? nested : `node_modules/${name}`;
    if (found.has(path) || !existsSync(path)) return;
    found.add(path);
    const { dependencies = {} } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8'));
    for (const dependency of Object.keys(dependencies)) visit(dependency, path);
  };
  for (const name of names) visit(name, '.');
  return [...found].sort();
}

async function stageEnvoy(into) {
  const { findEnvoy } = await import('../dist/dataplane/envoy-binary.js');
  const found = await findEnvoy({
    // Not the machine's own: the image has the version that Weft is made for.
    env: {
      ...process.env,
      PATH: process.env.PATH?.split(':')
        .filter((folder) => !existsSync(`${folder}/envoy`))
        .join(':'),
    },
    onProgress: ({ stage, totalBytes }) => {
      if (stage === 'downloading' && totalBytes > 0 && !stageEnvoy.said) {
        stageEnvoy.said = true;
        say(`fetching Envoy (${megabytes(totalBytes)})`);
      }
    },
    signal: new AbortController().signal,
  });
  mkdirSync(join(into, 'usr/local/bin'), { recursive: true });
  cpSync(found.path, join(into, 'usr/local/bin/envoy'), { dereference: true });
  chmodSync(join(into, 'usr/local/bin/envoy'), 0o755);
  return found.version;
}

function stageRedirect(into) {
  stagePackages('redirect', into);
  for (const name of IPTABLES) {
    symlinkSync('xtables-nft-multi', join(into, 'usr/sbin', name));
    symlinkSync('xtables-legacy-multi', join(into, 'usr/sbin', name.replace('tables', 'tables-legacy')));
  }
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Folders and files as everyone may read them, whatever the umask of the builder. */
function openModes(root) {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    const path = join(entry.parentPath, entry.name);
    const { mode } = statSync(path);
    chmodSync(
      path,
      entry.isDirectory() ? (mode & 0o1000) | 0o755 | (mode & 0o1000 ? 0o777 : 0) : mode & 0o111 ? 0o755 : 0o644,
    );
  }
  chmodSync(root, 0o755);
}

if (process.platform !== 'linux') fail(`images are built on Linux; use deploy/docker on ${process.platform}`);
for (const program of ['apt-get', 'dpkg-deb']) {
  try {
    output(program, ['--version']);
  } catch {
    fail(
      `${program} was not found: images are built from Debian packages on Debian or Ubuntu; use deploy/docker elsewhere`,
    );
  }
}
if (!existsSync('dist/bundle/main.js')) fail('dist/bundle is missing; run make build first');

rmSync(STAGE, { recursive: true, force: true });
const stages = { base: stageBase, node: stageNode, weft: stageWeft, envoy: stageEnvoy, redirect: stageRedirect };
const IMAGES = { 'control-plane': ['base', 'node', 'weft'], proxy: ['base', 'node', 'redirect', 'envoy', 'weft'] };
const wanted = Object.entries(IMAGES).filter(([image]) => options.only === undefined || image === options.only);
if (wanted.length === 0) fail(`there is no image ${options.only}; there are ${Object.keys(IMAGES).join(' and ')}`);

const staged = new Map();
for (const layer of new Set(wanted.flatMap(([, layers]) => layers))) {
  const folder = join(STAGE, layer);
  mkdirSync(folder, { recursive: true });
  say(`layer ${layer}`);
  await stages[layer](folder);
  openModes(folder);
  staged.set(layer, { folder, packed: await packLayer(folder, `${CACHE}/layers`) });
}
mkdirSync('dist/images', { recursive: true });
for (const [image, layers] of wanted) {
  const output = `dist/images/${image}.tar`;
  const packed = layers.map((layer) => staged.get(layer).packed);
  const digest = await createOciImage({
    name: `weft/${image}:${tag}`,
    layers: packed,
    config: {
      User: `${USER}:${USER}`,
      Env: ['PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/var/lib/weft'],
      Entrypoint: ['/usr/local/bin/weft'],
      WorkingDir: '/var/lib/weft',
      Labels: {
        'org.opencontainers.image.title': `weft/${image}`,
        'org.opencontainers.image.version': VERSION,
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    },
    output,
  });
  const parts = layers.map((layer, index) => `${layer} ${megabytes(packed[index].size)}`).join(', ');
  process.stdout.write(`weft/${image}:${tag}  ${output}  ${megabytes(statSync(output).size)}  (${parts})  ${digest}\n`);
  if (options.rootfs !== undefined) {
    for (const layer of layers) {
      cpSync(staged.get(layer).folder, join(options.rootfs, image), { recursive: true, verbatimSymlinks: true });
    }
  }
}
rmSync(STAGE, { recursive: true });
