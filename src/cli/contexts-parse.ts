import { asJson, asText, type Json } from './api/answers.ts';
import type { ApiServerCoordinates, ContextsFile } from './contexts.ts';
import { CliError, type FieldReason } from './errors.ts';

/** The file's content as typed data, unknown keys dropped. Throws `config` with every wrong field. */
export function parseContextsData(data: unknown, path: string): ContextsFile {
  const wrong: FieldReason[] = [];
  const root = asJson(data);
  const items = (key: string): readonly (readonly [Json, string])[] => {
    const value = root[key] ?? [];
    if (!Array.isArray(value)) wrong.push({ field: key, reason: 'must be a list' });
    return Array.isArray(value) ? value.map((one, index) => [asJson(one), `${key}[${index}]`] as const) : [];
  };
  const required = (item: Json, at: string, key: string): string => {
    if (asText(item[key]) === '') wrong.push({ field: `${at}.${key}`, reason: 'must be a text' });
    return asText(item[key]);
  };
  const file: ContextsFile = {
    controlPlanes: items('controlPlanes').map(([item, at]) => ({
      name: required(item, at, 'name'),
      coordinates: {
        apiServer: parseCoordinates(
          asJson(asJson(item['coordinates'])['apiServer']),
          `${at}.coordinates.apiServer`,
          wrong,
        ),
      },
    })),
    contexts: items('contexts').map(([item, at]) => {
      const mesh = asText(asJson(item['defaults'])['mesh']);
      return {
        name: required(item, at, 'name'),
        controlPlane: required(item, at, 'controlPlane'),
        ...(mesh === '' ? {} : { defaults: { mesh } }),
      };
    }),
    currentContext: asText(root['currentContext']),
  };
  if (wrong.length > 0) throw new CliError('config', `read ${path}`, { fields: wrong, next: 'correct the file' });
  return file;
}

function parseCoordinates(server: Json, at: string, wrong: FieldReason[]): ApiServerCoordinates {
  const url = asText(server['url']);
  if (!/^https?:/.test(url) || !URL.canParse(url)) wrong.push({ field: `${at}.url`, reason: 'must be an HTTP URL' });
  const texts = ['caCertFile', 'clientCertFile', 'clientKeyFile', 'authType'].flatMap((key) => {
    if (server[key] !== undefined && typeof server[key] !== 'string')
      wrong.push({ field: `${at}.${key}`, reason: 'must be a text' });
    return asText(server[key]) === '' ? [] : [[key, asText(server[key])] as const];
  });
  const headers = Array.isArray(server['headers'])
    ? server['headers'].map(asJson).map((one) => ({ key: asText(one['key']), value: asText(one['value']) }))
    : [];
  const authConf = Object.entries(asJson(server['authConf'])).map(([key, value]) => [key, asText(value)] as const);
  return {
    url,
    ...Object.fromEntries(texts),
    ...(headers.length > 0 ? { headers } : {}),
    ...(authConf.length > 0 ? { authConf: Object.fromEntries(authConf) } : {}),
    ...(server['skipVerify'] === true ? { skipVerify: true } : {}),
  };
}
