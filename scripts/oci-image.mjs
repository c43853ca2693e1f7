/**
 * OCI image archives without a container engine: folders become layers, layers and a configuration an archive that containerd, podman, skopeo and
 * `docker load` (25 or newer) read. The same folders give the same bytes: entries are sorted, times are fixed, everything belongs to root.
 *
 *   node scripts/oci-image.mjs --name docker.io/weft/pause:1 --out pause.tar --layer FOLDER [--layer FOLDER] [--config config.json]
 *
 * Needs GNU tar. A compressed layer is kept in `cache` by the hash of its content, so an unchanged one is compressed once.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';

const MEDIA = 'application/vnd.oci.image';
const EPOCH = '1970-01-01T00:00:00Z';
const ARCHITECTURE = { x64: 'amd64', arm64: 'arm64' }[process.arch] ?? process.arch;

/**
 * Writes one image. `name` is `registry/repository:tag`; `layers` are folders, the lowest first; `config` is the `config` part of an OCI image
 * configuration (Entrypoint, Cmd, Env, User, WorkingDir, Labels). Gives the digest of the manifest and the size of each compressed layer in bytes.
 */
export async function writeOciImage({ name, layers, config = {}, out, cache }) {
  mkdirSync(cache, { recursive: true });
  mkdirSync(dirname(out), { recursive: true });
  const packed = [];
  for (const folder of layers) packed.push(await packLayer(folder, cache));
  const image = jsonBlob(`${MEDIA}.config.v1+json`, {
    created: EPOCH,
    architecture: ARCHITECTURE,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: packed.map(({ diffId }) => `sha256:${diffId}`) },
    history: packed.map(() => ({ created: EPOCH, created_by: 'weft' })),
  });
  const manifest = jsonBlob(`${MEDIA}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${MEDIA}.manifest.v1+json`,
    config: image.descriptor,
    layers: packed.map(({ digest, size }) => ({
      mediaType: `${MEDIA}.layer.v1.tar+gzip`,
      digest: `sha256:${digest}`,
      size,
    })),
  });
  const index = {
    schemaVersion: 2,
    mediaType: `${MEDIA}.index.v1+json`,
    manifests: [
      {
        ...manifest.descriptor,
        platform: { architecture: ARCHITECTURE, os: 'linux' },
        annotations: {
          'io.containerd.image.name': name,
          'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
        },
      },
    ],
  };
  await writeArchive(out, [
    { path: 'oci-layout', text: '{"imageLayoutVersion":"1.0.0"}' },
    { path: 'index.json', text: JSON.stringify(index) },
    ...[image, manifest].map(({ digest, text }) => ({ path: `blobs/sha256/${digest}`, text })),
    ...packed.map(({ digest, file, size }) => ({ path: `blobs/sha256/${digest}`, file, size })),
  ]);
  return { digest: manifest.descriptor.digest, layerBytes: packed.map(({ size }) => size) };
}

/** The folder as a compressed tar in the cache. `diffId` is the hash of the tar, `digest` of the compressed file, both hex. */
async function packLayer(folder, cache) {
  const tar = join(cache, `layer-${process.pid}.tar`);
  try {
    await run('tar', [
      '--create',
      `--file=${tar}`,
      `--directory=${folder}`,
      '--format=posix',
      '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
      '--sort=name',
      '--mtime=@0',
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '--hard-dereference',
      '.',
    ]);
    const diffId = await fileHash(tar);
    const file = join(cache, `${diffId}.tar.gz`);
    if (!existsSync(file)) {
      const partial = `${file}.${process.pid}`;
      await pipeline(createReadStream(tar), createGzip({ level: 6 }), createWriteStream(partial));
      renameSync(partial, file);
    }
    return { diffId, file, digest: await fileHash(file), size: statSync(file).size };
  } finally {
    rmSync(tar, { force: true });
  }
}

function jsonBlob(mediaType, value) {
  const text = JSON.stringify(value);
  const digest = createHash('sha256').update(text).digest('hex');
  return { digest, text, descriptor: { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(text) } };
}

/** An uncompressed tar of regular files, whole or not at all. */
async function writeArchive(out, entries) {
  const partial = `${out}.${process.pid}`;
  const stream = createWriteStream(partial);
  async function* bytes() {
    for (const entry of entries) {
      const size = entry.size ?? Buffer.byteLength(entry.text);
      yield tarHeader(entry.path, size);
      if (entry.file === undefined) yield Buffer.from(entry.text);
      else yield* createReadStream(entry.file);
      yield Buffer.alloc((512 - (size % 512)) % 512);
    }
    yield Buffer.alloc(1024);
  }
  await pipeline(bytes, stream);
  renameSync(partial, out);
}

/** Source: POSIX.1-2001 ustar. */
function tarHeader(path, size) {
  const header = Buffer.alloc(512);
  header.write(path, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write(`${''.padStart(11, '0')}\0`, 136);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

async function fileHash(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${program}: exit ${code}: ${errors.trim()}`)),
    );
  });
}

if (process.argv[1] !== undefined && import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({
    options: {
      name: { type: 'string' },
      out: { type: 'string' },
      layer: { type: 'string', multiple: true },
      config: { type: 'string' },
      cache: { type: 'string', default: '.cache/images/layers' },
    },
  });
  if (values.name === undefined || values.out === undefined || values.layer === undefined) {
    process.stderr.write('oci-image: needs --name, --out and at least one --layer\n');
    process.exitCode = 2;
  } else {
    const config = values.config === undefined ? {} : JSON.parse(readFileSync(values.config, 'utf8'));
    const { digest } = await writeOciImage({
      name: values.name,
      layers: values.layer,
      config,
      out: values.out,
      cache: values.cache,
    });
    process.stdout.write(`${digest}\n`);
  }
}
