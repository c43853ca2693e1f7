/** A service of `weft up`: `demo-service api <port>`, `demo-service web <port> <port of api>`. */
import { runService } from '../demo/service.ts';

await runService(process.argv.slice(2));
