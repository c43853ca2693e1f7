/**
 * Makes container images without a container engine: one folder becomes one image in one tar file, an OCI image layout (image-spec v1.1) that
 * `ctr images import`, `docker load`, `podman load` and `skopeo` read. Equal input gives equal bytes: entries are sorted, all belong to root,
 * and all times are 1970.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, open, readdir, readlink, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

const BLOCK = 512;
const OCI = 'application/vnd.oci.image';
/** Node's names of processors to Go's, which images use. */
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' };

/**
 * Writes the image and returns the digest of its manifest (`sha256:…`).
 * @param {object} image
 * @param {string} image.name `weft/control-plane:0.1.0`, or with a registry in front
 * @param {string} [image.rootfs] folder that becomes `/`; modes and symbolic links are kept, owners are not
 * @param {object[]} [image.layers] instead of `rootfs`: what `packLayer` gave, the lowest first
 * @param {object} [image.config] what image-spec's `config` takes: Entrypoint, Cmd, Env, User, WorkingDir, ExposedPorts, Labels
 * @param {string} [image.architecture] of the programs in it, as Go names it; default this machine's
 * @param {string} image.output path of the tar file
 * @returns {Promise<string>}
 */
export async function createOciImage({
  name,
  rootfs,
  layers,
  config = {},
  architecture = ARCHITECTURES[process.arch],
  output,
}) {
  const layerFile = `${output}.layer`;
  const partial = `${output}.partial`;
  try {
    const packed = layers ?? [await plainLayer(rootfs, layerFile)];
    const json = (value) => Buffer.from(JSON.stringify(value));
    const image = json({
      architecture,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config,
      rootfs: { type: 'layers', diff_ids: packed.map(({ diffId }) => diffId) },
    });
    const manifest = json({
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config: descriptor(`${OCI}.config.v1+json`, image),
      layers: packed.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    });
    const reference = fullName(name);
    const annotations = {
      'io.containerd.image.name': reference,
      'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
    };
    const index = json({
      schemaVersion: 2,
      mediaType: `${OCI}.index.v1+json`,
      manifests: [{ ...descriptor(`${OCI}.manifest.v1+json`, manifest), annotations }],
    });
    // For engines that know only Docker's own format.
    const files = packed.map(({ digest }) => blobPath(digest));
    const docker = json([{ Config: blobPath(digestOf(image)), RepoTags: [name], Layers: files }]);
    await writeTar(partial, [
      { path: 'blobs/', mode: 0o755 },
      { path: 'blobs/sha256/', mode: 0o755 },
      ...[image, manifest].map((content) => ({ path: blobPath(digestOf(content)), mode: 0o644, content })),
      ...packed.map(({ digest, file, size }) => ({ path: blobPath(digest), mode: 0o644, file, size })),
      { path: 'index.json', mode: 0o644, content: index },
      { path: 'manifest.json', mode: 0o644, content: docker },
      { path: 'oci-layout', mode: 0o644, content: json({ imageLayoutVersion: '1.0.0' }) },
    ]);
    await rename(partial, output);
    return digestOf(manifest);
  } finally {
    await rm(layerFile, { force: true });
    await rm(partial, { force: true });
  }
}

async function plainLayer(rootfs, file) {
  const { digest, size } = await writeTar(file, await folderEntries(rootfs));
  return { mediaType: `${OCI}.layer.v1.tar`, diffId: digest, digest, size, file };
}

/**
 * The folder as a compressed layer, which stays in the folder `cache` under the hash of its content: an unchanged one is not compressed again.
 * @returns {Promise<{mediaType: string, diffId: string, digest: string, size: number, file: string}>} `size` in bytes, compressed
 */
export async function packLayer(folder, cache) {
  await mkdir(cache, { recursive: true });
  const tar = join(cache, `layer.${process.pid}.tar`);
  try {
    const { diffId } = await plainLayer(folder, tar);
    const file = join(cache, `${diffId.slice('sha256:'.length)}.tar.gz`);
    const known = await stat(file).catch(() => undefined);
    if (known === undefined) {
      await pipeline(createReadStream(tar), createGzip({ level: 6 }), createWriteStream(`${tar}.gz`));
      await rename(`${tar}.gz`, file);
    }
    const hash = createHash('sha256');
    await pipeline(createReadStream(file), hash);
    const { size } = await stat(file);
    return { mediaType: `${OCI}.layer.v1.tar+gzip`, diffId, digest: `sha256:${hash.digest('hex')}`, size, file };
  } finally {
    await rm(tar, { force: true });
  }
}

/** `weft/proxy:1` is `docker.io/weft/proxy:1` to every engine, `proxy:1` is `docker.io/library/proxy:1`. */
function fullName(name) {
  const [first, ...rest] = name.split('/');
  if (rest.length === 0) return `docker.io/library/${name}`;
  return /[.:]|^localhost$/.test(first) ? name : `docker.io/${name}`;
}

const digestOf = (content) => `sha256:${createHash('sha256').update(content).digest('hex')}`;
const blobPath = (digest) => `blobs/${digest.replace(':', '/')}`;
const descriptor = (mediaType, content) => ({ mediaType, digest: digestOf(content), size: content.length });

/** Everything below `folder` as tar entries, sorted; paths are relative, those of folders end with `/`. */
async function folderEntries(folder, below = '') {
  const entries = [];
  const names = await readdir(join(folder, below));
  for (const name of names.toSorted()) {
    const path = posix.join(below, name);
    const file = join(folder, path);
    const stat = await lstat(file);
    const mode = stat.mode & 0o7777;
    if (stat.isDirectory()) entries.push({ path: `${path}/`, mode }, ...(await folderEntries(folder, path)));
    else if (stat.isSymbolicLink()) entries.push({ path, mode: 0o777, link: await readlink(file) });
    else if (stat.isFile()) entries.push({ path, mode, file, size: stat.size });
    else throw new Error(`put ${file} into an image: it is no file, folder or symbolic link`);
  }
  return entries;
}

/** Writes a tar file (POSIX ustar, with pax headers for what does not fit); returns its size in bytes and its digest. */
async function writeTar(output, entries) {
  const hash = createHash('sha256');
  let size = 0;
  const handle = await open(output, 'w');
  const write = async (bytes) => {
    hash.update(bytes);
    size += bytes.length;
    await handle.writeFile(bytes);
  };
  try {
    for (const entry of entries) {
      const { content, file } = entry;
      const length = content?.length ?? entry.size ?? 0;
      for (const header of headers(entry, length)) await write(header);
      if (content !== undefined) await write(content);
      if (file !== undefined) {
        let read = 0;
        for await (const chunk of createReadStream(file)) {
          read += chunk.length;
          await write(chunk);
        }
        if (read !== length) throw new Error(`put ${file} into an image: it changed meanwhile`);
      }
      await write(padding(length));
    }
    await write(Buffer.alloc(2 * BLOCK));
  } finally {
    await handle.close();
  }
  return { size, digest: `sha256:${hash.digest('hex')}` };
}

function headers({ path, mode, link = '' }, size) {
  const type = link !== '' ? '2' : path.endsWith('/') ? '5' : '0';
  const place = splitPath(path);
  const records = [
    ...(place === undefined ? [paxRecord('path', path)] : []),
    ...(Buffer.byteLength(link) > 100 ? [paxRecord('linkpath', link)] : []),
  ].join('');
  const own = header({ ...(place ?? { name: 'long-path', prefix: '' }), mode, size, type, link: link.slice(0, 100) });
  if (records === '') return [own];
  const pax = Buffer.from(records);
  const name = posix.join('PaxHeaders', 'entry');
  return [
    header({ name, prefix: '', mode: 0o644, size: pax.length, type: 'x', link: '' }),
    pax,
    padding(pax.length),
    own,
  ];
}

/** Where ustar has room for a path: 100 bytes of name, or 155 of prefix before a slash; `undefined` when it does not fit. */
function splitPath(path) {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  for (let prefix = dirname(path); prefix !== '.'; prefix = dirname(prefix)) {
    const name = path.slice(prefix.length + 1);
    if (Buffer.byteLength(name) > 100) return undefined;
    if (Buffer.byteLength(prefix) <= 155) return { name, prefix };
  }
  return undefined;
}

/** `LENGTH key=value\n`, where LENGTH counts itself. */
function paxRecord(key, value) {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  const digits = String(bytes + String(bytes).length).length;
  return `${bytes + digits}${rest}`;
}

function header({ name, prefix, mode, size, type, link }) {
  const block = Buffer.alloc(BLOCK);
  const octal = (value, at, length) => block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  block.write(name, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(link, 157);
  block.write('ustar\x0000', 257, 'latin1');
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

const padding = (length) => Buffer.alloc((BLOCK - (length % BLOCK)) % BLOCK);
