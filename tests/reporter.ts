import type { Reporter, TestCase, TestModule } from 'vitest/node';

/**
 * Prints `N passed, N failed` (and skipped, when any) alone on the last line, for readers that do not know vitest. Before it, a line for each test that
 * failed, and for each that passed at its second attempt only: a log that was cut short still has them all.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    let skipped = 0;
    const lines: string[] = [];
    for (const module of modules) {
      if (module.state() === 'failed' && [...module.children.allTests()].length === 0) {
        failed += 1;
        lines.push(`failed: ${module.relativeModuleId}: ${firstLine(module.errors()[0])}`);
      }
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result();
        if (state === 'passed') passed += 1;
        else if (state === 'failed') failed += 1;
        else skipped += 1;
        if (state === 'failed') lines.push(`failed: ${nameOf(test)}: ${firstLine(errors?.[0])}`);
        if (test.diagnostic()?.flaky === true) lines.push(`unsteady: ${nameOf(test)}: ${firstLine(errors?.[0])}`);
      }
    }
    lines.push(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
    process.on('exit', () => console.log(lines.join('\n')));
  }
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function firstLine(error: { readonly message: string } | undefined): string {
  return error?.message.split('\n')[0]?.slice(0, 200) ?? '';
}
