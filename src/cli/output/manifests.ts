import type { KubeObject } from '../../k8s/api/object.ts';
import type { Invocation } from '../command.ts';
import { printText, yamlText } from './print.ts';

/** Prints objects for kubectl: YAML documents, or one List with `-o json`. */
export async function printManifests(invocation: Invocation, objects: readonly KubeObject[]): Promise<void> {
  const documents = await Promise.all(objects.map(yamlText));
  await printText(invocation, documents.join('---\n'), { apiVersion: 'v1', kind: 'List', items: objects });
}
