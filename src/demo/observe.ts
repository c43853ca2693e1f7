/** One leaf as Envoy holds it. Serial in lower-case hex. */
export interface HeldCertificate {
  readonly serial: string;
  readonly spiffeId: string;
  /** Epoch milliseconds. */
  readonly validFrom: number;
  readonly expiresAt: number;
}

/** What the control plane's DataplaneInsight says of a proxy. */
export interface ProxyInsight {
  /** As people read it: `builtin/ca-1`; '' while there is none. */
  readonly issuer: string;
  readonly sent: number;
  readonly acknowledged: number;
  readonly rejected: number;
}

/** One proxy at one moment; fields are `undefined` until they are known. */
export interface ProxyView {
  readonly name: string;
  readonly certificate: HeldCertificate | undefined;
  readonly insight: ProxyInsight | undefined;
  /** Serials that Envoy has held, oldest first. */
  readonly serials: readonly string[];
}

export interface WatchedProxy {
  readonly name: string;
  /** Answer of its Envoy's admin API to `/certs`. */
  readonly certificates: () => Promise<string>;
}

/** Insights by proxy name. */
export type InsightReader = () => Promise<ReadonlyMap<string, ProxyInsight>>;

/** Certificates over which rotation is counted: each serial that Envoy has presented, seen at every `look`. */
export interface Observer {
  /** Asks Envoys and control plane once. What does not answer now keeps its last value. */
  look(): Promise<readonly ProxyView[]>;
  views(): readonly ProxyView[];
}

export function createObserver(readInsights: InsightReader, proxies: readonly WatchedProxy[]): Observer {
  let views: readonly ProxyView[] = proxies.map(({ name }) => ({
    name,
    certificate: undefined,
    insight: undefined,
    serials: [],
  }));
  return {
    views: () => views,
    async look() {
      const [insights, ...held] = await Promise.all([
        readInsights().catch(() => undefined),
        ...proxies.map(({ certificates }) => certificates().then(readCertificates, () => [])),
      ]);
      views = views.map((view, index) => nextView(view, held[index] ?? [], insights?.get(view.name)));
      return views;
    },
  };
}

/** How often this proxy's certificate was replaced. */
export function rotationsOf(view: ProxyView): number {
  return Math.max(0, view.serials.length - 1);
}

function nextView(view: ProxyView, held: readonly HeldCertificate[], insight: ProxyInsight | undefined): ProxyView {
  // While old connections end, Envoy lists the leaf before too.
  const newest = held.reduce<HeldCertificate | undefined>(
    (best, one) => (best && best.validFrom >= one.validFrom ? best : one),
    view.certificate,
  );
  const isNew = newest !== undefined && !view.serials.includes(newest.serial);
  return {
    name: view.name,
    certificate: newest,
    insight: insight ?? view.insight,
    serials: isNew ? [...view.serials, newest.serial] : view.serials,
  };
}

/** Leaves with a SPIFFE ID in the answer of Envoy's `/certs`. Source: Envoy `envoy.admin.v3.Certificates`, as JSON. */
export function readCertificates(body: string): HeldCertificate[] {
  const { certificates = [] } = JSON.parse(body) as {
    certificates?: {
      cert_chain?: {
        serial_number?: string;
        subject_alt_names?: { uri?: string }[];
        valid_from?: string;
        expiration_time?: string;
      }[];
    }[];
  };
  return certificates.flatMap(({ cert_chain = [] }) =>
    cert_chain.flatMap((leaf) => {
      const spiffeId = leaf.subject_alt_names?.find(({ uri }) => uri?.startsWith('spiffe://'))?.uri;
      if (!spiffeId || !leaf.serial_number) return [];
      const time = (text: string | undefined) => Date.parse(text ?? '');
      return [
        {
          serial: leaf.serial_number,
          spiffeId,
          validFrom: time(leaf.valid_from),
          expiresAt: time(leaf.expiration_time),
        },
      ];
    }),
  );
}

/** Insights by proxy name out of a list of DataplaneOverviews (kuma-compat 5.2). */
export function readOverviews(overviews: unknown): Map<string, ProxyInsight> {
  const { items = [] } = overviews as { items?: { name: string; dataplaneInsight?: InsightSpec }[] };
  return new Map(
    items.map(({ name, dataplaneInsight = {} }) => {
      const backend = dataplaneInsight.mTLS?.issuedBackend;
      return [name, readInsight(dataplaneInsight, backend ? `builtin/${backend}` : '')];
    }),
  );
}

/** Counts of the newest connection. */
export function readInsight({ subscriptions }: InsightSpec, issuer: string): ProxyInsight {
  const total = subscriptions?.at(-1)?.status?.total;
  const count = (value: string | number | undefined) => Number(value ?? 0);
  return {
    issuer,
    sent: count(total?.responsesSent),
    acknowledged: count(total?.responsesAcknowledged),
    rejected: count(total?.responsesRejected),
  };
}

/** A DataplaneInsight, as far as the demo reads it. */
export interface InsightSpec {
  readonly mTLS?: { readonly issuedBackend?: string };
  /** 64-bit numbers are texts in proto3 JSON. */
  readonly subscriptions?: readonly {
    readonly status?: {
      readonly total?: Readonly<
        Partial<Record<'responsesSent' | 'responsesAcknowledged' | 'responsesRejected', string | number>>
      >;
    };
  }[];
}
