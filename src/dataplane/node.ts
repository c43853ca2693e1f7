/**
 * Node's own modules, taken without their lazy parts. An `import` of one reads every export of it: `node:http` then loads
 * Node's WebSocket and fetch, `node:fs/promises` readline and workers: 3 to 8 MB of resident memory each, in a process that
 * stands beside every proxy. Files that the launcher loads use these; files are small, so they are read in one go.
 */
export const fs: typeof import('node:fs') = process.getBuiltinModule('node:fs');
export const http: typeof import('node:http') = process.getBuiltinModule('node:http');
export const os: typeof import('node:os') = process.getBuiltinModule('node:os');
export const childProcess: typeof import('node:child_process') = process.getBuiltinModule('node:child_process');
export const path: typeof import('node:path') = process.getBuiltinModule('node:path');
export const url: typeof import('node:url') = process.getBuiltinModule('node:url');
export const crypto: typeof import('node:crypto') = process.getBuiltinModule('node:crypto');
