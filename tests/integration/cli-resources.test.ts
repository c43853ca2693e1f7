import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { type CliFixture, startCliFixture } from './cli-fixture.ts';

let cli: CliFixture;
beforeEach(async () => {
  cli = await startCliFixture();
});
afterEach(() => cli.close());

const dataplane = (service: string, extra = {}) => ({
  networking: { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': service }, ...extra }] },
});
const MESH = 'type: Mesh\nname: demo\nmtls:\n  enabledBackend: b\n  backends: [{name: b, type: builtin}]\n';
const PERMISSION =
  'type: MeshTrafficPermission\nmesh: "{{ mesh }}"\nname: allow\nspec:\n  from: [{targetRef: {kind: Mesh}, default: {action: Allow}}]\n';

describe('apply', () => {
  it('creates, then updates, each document of a stream', async () => {
    const first = await cli.weft(['apply', '-f', '-', '-v', 'mesh=demo'], { stdin: `${MESH}---\n${PERMISSION}` });
    expect(first).toEqual({
      code: 0,
      stdout:
        'resource type="Mesh" mesh="" name="demo" Created\nresource type="MeshTrafficPermission" mesh="demo" name="allow" Created\n',
      stderr: '',
    });
    const second = await cli.weft(['apply', '-f', '-', '-o', 'json'], { stdin: MESH });
    expect(JSON.parse(second.stdout)).toEqual({
      applied: [{ type: 'Mesh', mesh: '', name: 'demo', action: 'Updated', warnings: [] }],
    });
  });

  it('takes the mesh of --mesh when a document has none', async () => {
    const { stdout } = await cli.weft(['apply', '-f', '-', '--mesh', 'default'], {
      stdin: PERMISSION.replace(/mesh: .*\n/, ''),
    });
    expect(stdout).toBe('resource type="MeshTrafficPermission" mesh="default" name="allow" Created\n');
  });

  it('reads a folder', async () => {
    writeFileSync(join(cli.home, '1.yaml'), MESH);
    writeFileSync(join(cli.home, '2.json'), JSON.stringify({ type: 'Mesh', name: 'other' }));
    const { stdout } = await cli.weft(['apply', '-f', cli.home]);
    expect(stdout.match(/Created/g)).toHaveLength(2);
  });

  it('shows field and reason of a refused resource, and how far it came', async () => {
    const bad = 'type: Dataplane\nmesh: default\nname: d\nnetworking: {address: 0.0.0.0, inbound: [{port: 0}]}\n';
    const { code, stdout, stderr } = await cli.weft(['apply', '-f', '-'], { stdin: `${MESH}---\n${bad}` });
    expect(code).toBe(1);
    expect(stdout).toContain('name="demo" Created');
    expect(stderr).toMatch(
      /^error: apply Dataplane d: Could not process a resource: \d problems; 1 of 2 resources are applied;/,
    );
    expect(stderr).toMatch(/\n {2}networking\.address: .*\n/);
    const json = await cli.weft(['apply', '-f', '-', '-o', 'json'], { stdin: bad });
    expect(JSON.parse(json.stderr).error).toMatchObject({ code: 'invalid-resource', next: 'correct it and try again' });
  });

  it('sends nothing when one document cannot be read or has an unknown type', async () => {
    const unreadable = await cli.weft(['apply', '-f', '-'], { stdin: `${MESH}---\nname: x\n` });
    expect(unreadable.stderr).toBe(
      'error: read resources: standard input, document 2: type: must be defined; nothing was applied\n',
    );
    const unknown = await cli.weft(['apply', '-f', '-'], { stdin: `${MESH}---\ntype: Dataplan\nname: x\n` });
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('did you mean Dataplane?') });
    expect((await cli.weft(['get', 'meshes'])).stdout).not.toContain('demo');
  });

  it('fills in values and changes nothing with --dry-run', async () => {
    const { stdout } = await cli.weft(['apply', '-f', '-', '--dry-run', '-v', 'mesh=demo'], {
      stdin: `${MESH}---\n${PERMISSION}`,
    });
    expect(parseAllDocuments(stdout).map((one) => one.toJS())).toMatchObject([
      { name: 'demo' },
      { mesh: 'demo', name: 'allow' },
    ]);
    expect((await cli.weft(['get', 'meshes'])).stdout).not.toContain('demo');
  });
});

describe('get', () => {
  beforeEach(async () => {
    await cli.weft(['apply', '-f', '-'], { stdin: MESH });
    await cli.api.seed('Dataplane', 'web-1', dataplane('web'), { mesh: 'default' });
    await cli.api.seed('Dataplane', 'api-1', dataplane('api'), { mesh: 'demo' });
  });

  it('prints the columns of each type', async () => {
    expect((await cli.weft(['get', 'meshes'])).stdout).toMatch(
      /^NAME {6}mTLS {8}LOCALITY {3}ZONEEGRESS {3}AGE\ndefault {3}off {9}off {8}off {10}\ds\ndemo {6}builtin\/b /,
    );
    expect((await cli.weft(['get', 'dataplanes'])).stdout).toMatch(
      /^MESH {6}NAME {4}TAGS {18}ADDRESS {4}AGE\ndefault {3}web-1 {3}kuma.io\/service=web {3}10.0.0.1 {3}\ds\n$/,
    );
    expect((await cli.weft(['get', 'zones'])).stdout).toBe('NAME   AGE\n');
  });

  it('takes kind, path, singular and plural, one name, a mesh, or all meshes', async () => {
    for (const word of ['Dataplane', 'dataplanes', 'DATAPLANE']) {
      expect((await cli.weft(['get', word, 'api-1', '-m', 'demo'])).stdout).toContain('kuma.io/service=api');
    }
    const all = (await cli.weft(['get', 'dataplanes', '--all-meshes'])).stdout;
    expect(all).toContain('web-1');
    expect(all).toContain('api-1');
  });

  it('prints data as YAML and JSON', async () => {
    expect(parse((await cli.weft(['get', 'mesh', 'demo', '-o', 'yaml'])).stdout)).toMatchObject({
      type: 'Mesh',
      name: 'demo',
    });
    expect(JSON.parse((await cli.weft(['get', 'meshes', '-o', 'json'])).stdout)).toMatchObject({
      total: 2,
      next: null,
    });
  });

  it('follows all pages, or gives one with the way to the next', async () => {
    const one = await cli.weft(['get', 'meshes', '--size', '1']);
    const offset = /--offset=(\S+) argument/.exec(one.stdout)?.[1];
    expect(offset).toBeDefined();
    const two = await cli.weft(['get', 'meshes', '--size', '1', '--offset', offset!]);
    expect(two.stdout).toContain('demo');
    expect(two.stdout).not.toContain('--offset');
  });

  it('says what is not there and where it looked', async () => {
    expect(await cli.weft(['get', 'dataplane', 'api-1'])).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'error: there is no Dataplane with name "api-1" in mesh "default"; see what there is with `weft get dataplanes`, or choose another mesh with --mesh\n',
    });
    expect(await cli.weft(['get', 'dataplnaes'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('did you mean dataplanes?'),
    });
    expect((await cli.weft(['get', '--list-types'])).stdout).toContain('MeshTrafficPermission');
  });
});

describe('delete', () => {
  it('deletes one resource', async () => {
    await cli.weft(['apply', '-f', '-'], { stdin: MESH });
    expect((await cli.weft(['delete', 'mesh', 'demo'])).stdout).toBe('deleted Mesh "demo"\n');
    expect(await cli.weft(['delete', 'mesh', 'demo'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is no Mesh'),
    });
    expect(await cli.weft(['delete', 'mesh'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("missing required argument 'name'"),
    });
  });
});

describe('export', () => {
  it('turns builtin CAs into provided ones on the same secrets, keys of user tokens last', async () => {
    await cli.weft(['apply', '-f', '-'], { stdin: MESH });
    await cli.api.seed('GlobalSecret', 'user-token-signing-key-1', { data: 'YQ==' });
    await cli.api.seed('GlobalSecret', 'envoy-admin-ca', { data: 'YQ==' });
    await cli.api.seed('Secret', 'demo.ca-builtin-cert-b', { data: 'YQ==' }, { mesh: 'demo' });
    const { stdout } = await cli.weft(['export']);
    expect(stdout).toMatch(/^# Product: \w+, Version: /);
    const documents = parseAllDocuments(stdout).map((one) => one.toJS());
    expect(documents.map(({ type, name }) => `${type}/${name}`)).toEqual([
      'Mesh/default',
      'Mesh/demo',
      'Secret/demo.ca-builtin-cert-b',
      'GlobalSecret/user-token-signing-key-1',
    ]);
    expect(documents[1]).toMatchObject({
      skipCreatingInitialPolicies: ['*'],
      mtls: {
        skipValidation: true,
        backends: [
          {
            type: 'provided',
            conf: { cert: { secret: 'demo.ca-builtin-cert-b' }, key: { secret: 'demo.ca-builtin-key-b' } },
          },
        ],
      },
    });
  });

  it('leaves secrets out of the other profiles unless asked', async () => {
    await cli.api.seed('GlobalSecret', 'g', { data: 'YQ==' });
    expect((await cli.weft(['export', '--profile', 'all'])).stdout).not.toContain('GlobalSecret');
    expect((await cli.weft(['export', '--profile', 'all', '-a'])).stdout).toContain('GlobalSecret');
    expect(await cli.weft(['export', '--profile', 'some'])).toMatchObject({ code: 2 });
  });
});
