import { describe, expect, it } from 'vitest';
import { renderNames } from './leaf-names.ts';
import { parseNameTemplate } from './name-template.ts';

const tags = new Map([
  ['kuma.io/service', 'web_shop_svc_80'],
  ['version', 'v1'],
]);

describe('a name template', () => {
  it.each([
    ['{{ tag "kuma.io/service" | replace "_" "-" }}.mesh', 'web-shop-svc-80.mesh'],
    ['{{ tag `version` }}-{{tag "kuma.io/service"}}', 'v1-web_shop_svc_80'],
    ['a {{- tag "version" -}} b', 'av1b'],
    ['{{ "kuma.io/service" | tag | replace "_svc_" "." | replace "_" "." }}', 'web.shop.80'],
    ['{{ tag "missing" }}.mesh', '.mesh'],
    ['plain', 'plain'],
    ['{{ tag "version" | replace "v" "$&" }}', '$&1'],
    ['', ''],
  ])('%s', (text, expected) => {
    expect(parseNameTemplate(text).render(tags)).toBe(expected);
  });

  it.each([
    ['{{ tag "a"', /no "}}"/],
    ['{{ }}', /empty/],
    ['{{ tga "a" }}', /"tga" is not defined; there are tag and replace/],
    ['{{ tag a }}', /quoted text/],
    ['{{ tag }}', /tag takes one name/],
    ['{{ replace "a" "b" }}', /behind a pipe/],
    ['{{ tag "a" | }}', /empty/],
    ['{{ tag "a" | "b" }}', /can only begin/],
    ['{{ .Mesh }}', /cannot read ".Mesh"/],
    ['{{ range $x }}', /cannot read/],
  ])('%s is refused', (text, message) => {
    expect(() => parseNameTemplate(text)).toThrowError(message);
  });

  it('reads any text in a time that grows with its length only', () => {
    const started = performance.now();
    for (const text of ['{{'.repeat(20_000), `{{ ${'"a" | '.repeat(20_000)} }}`, `{{ "${'\\'.repeat(40_000)}" }}`]) {
      try {
        parseNameTemplate(text);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('the names of a certificate', () => {
  const render = (commonName: string | undefined, dnsNames: string[], uriSans: string[]) =>
    renderNames(
      {
        commonName: commonName === undefined ? undefined : parseNameTemplate(commonName),
        dnsNames: dnsNames.map(parseNameTemplate),
      },
      uriSans,
      { mesh: 'default', backend: 'ca-1' },
    );
  const sans = ['spiffe://default/web', 'kuma://kuma.io/service/web', 'kuma://version/v1'];

  it('come from the tags of the proxy, each once', () => {
    expect(render('{{ tag "kuma.io/service" }}.mesh', ['{{ tag "version" }}.web', 'V1.web', '*.mesh'], sans)).toEqual({
      commonName: 'web.mesh',
      dnsNames: ['v1.web', '*.mesh'],
    });
    expect(render('{{ tag "none" }}', [], sans)).toEqual({ commonName: undefined, dnsNames: [] });
  });

  it('are refused when they cannot be names', () => {
    expect(() => render('x'.repeat(65), [], sans)).toThrowError(/commonName gives .* longer than 64/);
    expect(() => render(undefined, ['{{ tag "none" }}'], sans)).toThrowError(/dnsNames\[0\] gives "", which is no DNS/);
    expect(() => render(undefined, ['a b'], sans)).toThrowError(expect.objectContaining({ code: 'invalid-request' }));
  });
});
