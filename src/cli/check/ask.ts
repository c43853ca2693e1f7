import { KubeError } from '../../k8s/api/client.ts';
import { CliError } from '../errors.ts';
import { ABSENT, type Fact, known } from './fact.ts';

/** The answer to a question as a fact: refusals and lost connections are facts too. A bug is thrown. */
export async function ask<T>(question: Promise<T>): Promise<Fact<T>> {
  try {
    return known(await question);
  } catch (error) {
    if (error instanceof KubeError) return factOf(error);
    if (error instanceof CliError) {
      if (error.code === 'not-found') return ABSENT;
      return { state: error.code === 'denied' ? 'forbidden' : 'failed', reason: error.message };
    }
    throw error;
  }
}

function factOf(error: KubeError): Fact<never> {
  switch (error.code) {
    case 'not-found':
      return ABSENT;
    case 'forbidden':
    case 'unauthorized':
      return { state: 'forbidden', reason: error.message };
    default:
      return { state: 'failed', reason: error.message };
  }
}
