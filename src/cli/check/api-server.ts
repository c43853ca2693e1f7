/** The API server, and clocks. Pure. */

import { OLDEST_KUBERNETES } from '../../k8s/api/oldest-version.ts';
import { spanText } from '../../lib/expiry-threshold.ts';
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, nameSome, ok, skip } from './finding.ts';

export interface ApiServerFacts {
  readonly server: string;
  /** `gitVersion`, `v1.33.1`. */
  readonly version: Fact<string>;
  readonly clock: Fact<ClockReading>;
  /** When the kubelet of each node renewed its lease last, by that node's clock. */
  readonly nodes: Fact<readonly NodeClock[]>;
}

/** One question for the time; epoch ms. */
export interface ClockReading {
  /** By this machine's clock. */
  readonly sentAt: number;
  readonly receivedAt: number;
  /** By the other one's, which may be cut to whole seconds. */
  readonly serverTime: number;
}

export interface NodeClock {
  readonly name: string;
  /** Epoch ms. */
  readonly renewedAt: number;
}

const OLDEST_MINOR = Number(OLDEST_KUBERNETES.split('.')[1]);
const SKEW_WARN_MS = 5000;
const SKEW_FAIL_MS = 60_000;
const NODE_AHEAD_WARN_MS = 2000;
const NODE_AHEAD_FAIL_MS = 10_000;
/** A kubelet renews every 10 s, and is taken for dead after 40 s. */
const NODE_SILENT_MS = 60_000;

/** Findings of the group `kubernetes`. */
export function checkApiServer(facts: ApiServerFacts): Finding[] {
  const version = factValue(facts.version);
  if (version === undefined) {
    return [
      finding('kubernetes-api', 'fail', `${facts.server} does not answer: ${whyUnknown(facts.version)}`, {
        hint: 'kubectl cluster-info   # the same question; choose a cluster with --kubeconfig and --kube-context',
      }),
      skip('kubernetes-version', 'the API server does not answer'),
    ];
  }
  return [
    ok('kubernetes-api', `${facts.server} answers`),
    checkVersion(version),
    checkClock(facts.clock),
    checkNodeClocks(facts.nodes, facts.clock),
  ];
}

function checkVersion(version: string): Finding {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined) return finding('kubernetes-version', 'warn', `the version "${version}" can't be read`);
  if (Number(major) > 1 || Number(minor) >= OLDEST_MINOR) return ok('kubernetes-version', version);
  return finding('kubernetes-version', 'fail', `${version} is older than what Weft needs`, {
    hint: `use Kubernetes ${OLDEST_KUBERNETES} or later`,
  });
}

/** How far `serverTime` is ahead of this machine at least, in ms; negative when it is behind, 0 when the difference can be explained by the way. */
export function skewOf({ sentAt, receivedAt, serverTime }: ClockReading): number {
  const ahead = serverTime - receivedAt;
  const behind = serverTime + 1000 - sentAt;
  if (ahead > 0) return ahead;
  return Math.min(behind, 0);
}

/** The clock of this machine beside that of the other one. */
export function checkClock(clock: Fact<ClockReading>): Finding {
  const reading = factValue(clock);
  if (reading === undefined) return skip('clock', `the other clock can't be read: ${whyUnknown(clock)}`);
  const skew = skewOf(reading);
  if (Math.abs(skew) <= SKEW_WARN_MS) return ok('clock', 'this machine and the server agree on the time');
  const message = `this machine's clock is ${spanText(skew)} ${skew > 0 ? 'behind' : 'ahead of'} the server's`;
  return finding('clock', Math.abs(skew) > SKEW_FAIL_MS ? 'fail' : 'warn', message, {
    hint: 'timedatectl status   # is NTP on, here and on the server?',
  });
}

function checkNodeClocks(nodes: Fact<readonly NodeClock[]>, clock: Fact<ClockReading>): Finding {
  const leases = factValue(nodes);
  const now = factValue(clock)?.serverTime;
  if (leases === undefined) return skip('node-clocks', `leases of the nodes: ${whyUnknown(nodes)}`);
  if (now === undefined) return skip('node-clocks', "the server's clock can't be read");
  if (leases.length === 0) return skip('node-clocks', 'there are no nodes');
  // The server's time was cut to whole seconds, and leases are read a moment later.
  const ahead = leases.filter(({ renewedAt }) => renewedAt - now > NODE_AHEAD_WARN_MS + 1000);
  const silent = leases.filter(({ renewedAt }) => now - renewedAt > NODE_SILENT_MS);
  const hint = "kubectl get nodes   # then look at the node's clock: timedatectl status";
  if (ahead.length > 0) {
    const worst = Math.max(...ahead.map(({ renewedAt }) => renewedAt - now));
    const names = nameSome(ahead.map(({ name }) => name));
    return finding(
      'node-clocks',
      worst > NODE_AHEAD_FAIL_MS ? 'fail' : 'warn',
      `clocks of nodes are up to ${spanText(worst)} ahead of the API server's: ${names}`,
      { hint },
    );
  }
  if (silent.length > 0) {
    const names = nameSome(silent.map(({ name }) => name));
    return finding('node-clocks', 'warn', `nodes that are silent, or whose clocks are behind: ${names}`, { hint });
  }
  return ok('node-clocks', `clocks of ${leases.length} nodes agree with the API server's`);
}
