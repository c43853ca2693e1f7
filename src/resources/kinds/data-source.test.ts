import { describe, expect, it } from 'vitest';
import { validateDataSource } from './data-source.ts';

describe('validateDataSource', () => {
  it.each([[{ secret: 'a' }], [{ file: '/a' }], [{ inline: 'YQ==' }], [{ inlineString: 'text' }]])(
    'accepts %j',
    (source) => {
      expect(validateDataSource(source, 'conf.cert')).toEqual([]);
    },
  );

  it.each<[unknown, string, RegExp]>([
    [undefined, 'conf.cert', /^data source has to be chosen/],
    [{}, 'conf.cert', /^data source has to be chosen. Available sources: secret, file, inline$/],
    ['text', 'conf.cert', /^data source has to be chosen/],
    [{ secret: '' }, 'conf.cert.secret', /^cannot be empty$/],
    [{ inline: '' }, 'conf.cert.inline', /^cannot be empty$/],
    [{ file: '' }, 'conf.cert.file', /^cannot be empty$/],
    [{ inline: 'not base64!' }, 'conf.cert.inline', /^has to be base64$/],
    [{ secret: 4 }, 'conf.cert.secret', /^has to be a string$/],
    [{ secret: 'a', file: 'b' }, 'conf.cert', /^only one source can be chosen/],
  ])('refuses %j', (source, field, message) => {
    const found = validateDataSource(source, 'conf.cert');
    expect(found).toEqual([{ field, message: expect.stringMatching(message) }]);
  });
});
