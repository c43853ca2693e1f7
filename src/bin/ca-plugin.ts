/** The process of one CA plug-in (`ca/plugin/process.ts`), under Node's permission model. Not started by hand. */
import { Socket } from 'node:net';
import { importModule } from '../ca/plugin/import-module.ts';
import { servePlugin } from '../ca/plugin/serve.ts';
import { CHANNEL_FD } from '../ca/plugin/wire.ts';

process.title = 'weft ca plug-in';
const channel = new Socket({ fd: CHANNEL_FD });
channel.on('end', () => process.exit(0));
channel.on('error', () => process.exit(0));
servePlugin(channel, importModule);
