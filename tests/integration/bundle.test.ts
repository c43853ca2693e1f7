import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

interface Output {
  readonly entryPoint?: string;
  readonly exports: readonly string[];
  readonly imports: readonly { readonly path: string; readonly kind: string; readonly external?: boolean }[];
  readonly inputs: Readonly<Record<string, unknown>>;
}

const { outputs } = JSON.parse(readFileSync(new URL('../../dist/bundle.meta.json', import.meta.url), 'utf8')) as {
  readonly outputs: Readonly<Record<string, Output>>;
};

/** Every module that is read when the file that holds `module` is loaded, packages outside of the bundle by their name. */
function loadedWith(module: string): ReadonlySet<string> {
  const start = Object.keys(outputs).find((path) => Object.hasOwn(outputs[path]!.inputs, module));
  expect(start, module).toBeDefined();
  const files = new Set<string>();
  const modules = new Set<string>();
  const visit = (path: string) => {
    if (files.has(path)) return;
    files.add(path);
    for (const input of Object.keys(outputs[path]!.inputs)) modules.add(input);
    for (const { path: imported, kind, external } of outputs[path]!.imports) {
      if (kind !== 'import-statement') continue;
      if (external === true) modules.add(imported);
      else visit(imported);
    }
  };
  visit(start!);
  return modules;
}

it('loads nothing of Kubernetes into a control plane on machines', () => {
  const loaded = [...loadedWith('dist/control-plane/run.js')];
  expect(
    loaded.filter((module) =>
      /@kubernetes\/|^undici|node_modules\/undici|dist\/k8s\/(webhooks|controllers|inject)/.test(module),
    ),
  ).toEqual([]);
  expect(loaded.filter((module) => /dist\/(install|demo|store\/kubernetes)\//.test(module))).toEqual([]);
});

it('loads the libraries of AWS when they are needed', () => {
  expect([...loadedWith('dist/control-plane/run.js')].filter((module) => /@aws|@smithy/.test(module))).toEqual([]);
});

it('holds no package that import() would get without names; such a one belongs into EXTERNAL_PACKAGES', () => {
  const nameless = Object.values(outputs).filter(
    ({ entryPoint, exports }) => entryPoint?.includes('node_modules/') === true && exports.join() === 'default',
  );
  expect(nameless.map(({ entryPoint }) => entryPoint)).toEqual([]);
});
