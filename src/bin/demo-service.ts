/** A service of `weft up` and `weft install demo`: `demo-service api 8080`, `demo-service web 0.0.0.0:8080 http://api:8080 50`. */
import { runService } from '../demo/service.ts';

await runService(process.argv.slice(2));
