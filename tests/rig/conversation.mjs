// Calls every cache operation of the JavaScript client on a server, and writes a line for each result. Values that differ
// from run to run are masked. Two servers that behave the same yield the same transcript.
//
// Arguments: port, and the protocol versions to use, one conversation for each.

import infinispan from 'infinispan';

const [port, ...versions] = process.argv.slice(2);
const server = { host: '127.0.0.1', port: Number(port) };
let part = '';

for (const version of versions) {
  await converse(version);
}
process.exit(0);

async function converse(version) {
  part = `${version} administration`;
  const admin = await client(version, undefined, 'text/plain');
  const configuration = (mediaType) =>
    JSON.stringify({ 'distributed-cache': { mode: 'SYNC', statistics: true, encoding: { 'media-type': mediaType } } });
  const create = (name, mediaType) =>
    admin.admin.createCache(name, configuration(mediaType), { flags: 'VOLATILE' });
  await step('create', () => create('js-text', 'text/plain'));
  await step('create again', () => create('js-text', 'text/plain'));
  await step('get or create', () =>
    admin.admin.getOrCreateCache('js-protostream', configuration('application/x-protostream'), { flags: 'VOLATILE' }));
  await step('create for JSON', () => create('js-json', 'application/json'));
  await step('create from a template', () =>
    admin.admin.createCache('js-template', undefined, { template: 'org.infinispan.DIST_SYNC', flags: 'VOLATILE' }));
  await step('names', names(admin));
  await step('protocol version', () => admin.getProtocolVersion());
  await step('ping', () => admin.ping());
  await step('unknown cache', () => client(version, 'js-nowhere', 'text/plain'));

  // Before 2.8, requests name no formats: bytes are stored as they are sent.
  const formats = !['2.2', '2.5'].includes(version);
  for (const name of formats ? ['js-text', 'js-protostream'] : ['js-text']) {
    part = `${version} ${name}`;
    const text = await client(version, name, 'text/plain');
    await entries(text, (value) => value, 1_000_000);
    await text.disconnect();
  }
  for (const name of formats ? ['js-json', 'js-protostream'] : []) {
    part = `${version} ${name} in JSON`;
    const json = await client(version, name, 'application/json');
    // In a protostream cache, JSON values name their type.
    const typed = (value) => (name === 'js-json' ? value : { _type: 'string', _value: value });
    // If JSON arrives in two pieces, this client parses the first as the whole.
    await entries(json, typed, 1_000);
    await json.disconnect();
  }

  part = `${version} ending`;
  for (const name of ['js-text', 'js-protostream', 'js-json', 'js-template']) {
    await step(`remove ${name}`, () => admin.admin.removeCache(name));
  }
  await step('names', names(admin));
  await admin.disconnect();
}

async function entries(cache, of, large) {
  await step('clear', () => cache.clear());
  await step('get nothing', () => cache.get(of('a')));
  await step('put', () => cache.put(of('a'), of('1')));
  await step('get', () => cache.get(of('a')));
  await step('put with previous', () => cache.put(of('a'), of('2'), { previous: true }));
  await step('put with nothing before', () => cache.put(of('b'), of('2'), { previous: true }));
  await step('more than ASCII', async () => {
    await cache.put(of('ü'), of('grüße, 世界'));
    return cache.get(of('ü'));
  });
  await step('contains', () => cache.containsKey(of('a')));
  await step('contains nothing', () => cache.containsKey(of('nothing')));
  await step('put if absent, present', () => cache.putIfAbsent(of('a'), of('3')));
  await step('put if absent, present, with previous', () => cache.putIfAbsent(of('a'), of('3'), { previous: true }));
  await step('put if absent, absent', () => cache.putIfAbsent(of('c'), of('3')));
  await step('replace', () => cache.replace(of('a'), of('4')));
  await step('replace with previous', () => cache.replace(of('a'), of('5'), { previous: true }));
  await step('replace nothing', () => cache.replace(of('nothing'), of('5')));
  await step('metadata', () => cache.getWithMetadata(of('a')));
  await step('metadata of nothing', () => cache.getWithMetadata(of('nothing')));
  const { version } = (await cache.getWithMetadata(of('a'))) ?? {};
  await step('replace with the version', () => cache.replaceWithVersion(of('a'), of('6'), version));
  await step('replace with the old version', () => cache.replaceWithVersion(of('a'), of('7'), version));
  await step('replace with the old version and previous', () =>
    cache.replaceWithVersion(of('a'), of('7'), version, { previous: true }));
  await step('remove with the old version', () => cache.removeWithVersion(of('a'), version));
  await step('remove with the version', async () =>
    cache.removeWithVersion(of('a'), (await cache.getWithMetadata(of('a'))).version));
  await step('remove with previous', () => cache.remove(of('b'), { previous: true }));
  await step('remove nothing', () => cache.remove(of('b')));
  await step('remove', () => cache.remove(of('c')));
  await step('lifespan and max idle', async () => {
    await cache.put(of('d'), of('1'), { lifespan: '100s', maxIdle: '50s' });
    return cache.getWithMetadata(of('d'));
  });
  await step('lifespan in other units', async () => {
    await cache.put(of('e'), of('1'), { lifespan: '61500ms', maxIdle: '2h' });
    return cache.getWithMetadata(of('e'));
  });
  await step('an entry ends', async () => {
    await cache.put(of('f'), of('1'), { lifespan: '300ms' });
    for (let looks = 0; looks < 500; looks++) {
      if ((await cache.get(of('f'))) === undefined) return 'ended';
      await new Promise((done) => setTimeout(done, 10));
    }
    return 'still there';
  });
  await step('size', () => cache.size());
  await step('put all', () =>
    cache.putAll(Array.from({ length: 300 }, (_, i) => ({ key: of(`key-${i}`), value: of(`value-${i}`) }))));
  await step('get all', async () =>
    (await cache.getAll([of('key-1'), of('key-2'), of('nothing')])).map(shown).sort());
  await step('iterate', () => iterated(cache, 20, {}));
  await step('iterate with metadata', () => iterated(cache, 100, { metadata: true }));
  await step('size after that', () => cache.size());
  await step('statistics', async () => {
    const statistics = await cache.stats();
    return Object.fromEntries(
      ['stores', 'misses', 'removeMisses', 'approximateEntries'].map((name) => [name, statistics[name]]));
  });
  await step('large', async () => {
    await cache.put(of('large'), of('x'.repeat(large)));
    return JSON.stringify(await cache.get(of('large'))).length;
  });
  await step('many at once', async () => {
    const puts = Array.from({ length: 500 }, (_, i) => cache.put(of(`many-${i}`), of(`value-${i}`)));
    await Promise.all(puts);
    return cache.size();
  });
  await step('members', () => cache.getTopologyInfo().getMembers().length);
  await step('owners', () => cache.getTopologyInfo().findOwners(of('a')).length);
  await step('clear it', () => cache.clear());
  await step('size of nothing', () => cache.size());
}

async function iterated(cache, batch, options) {
  const iterator = await cache.iterator(batch, options);
  const found = [];
  for (;;) {
    const { done, key, ...entry } = await iterator.next();
    if (done) break;
    found.push(`${shown(key)}=${shown(entry)}`);
  }
  await iterator.close();
  return `${found.length} ${found.sort().join(' ')}`;
}

function names(client) {
  return async () => (await client.admin.cacheNames()).filter((name) => name.startsWith('js-')).sort();
}

function client(version, cacheName, mediaType) {
  return infinispan.client(server, {
    version, cacheName, maxRetries: 0, dataFormat: { keyType: mediaType, valueType: mediaType },
  });
}

async function step(name, said) {
  let outcome;
  try {
    outcome = shown(await said());
  } catch (error) {
    outcome = `! ${String(error.message ?? error).replace(/127\.0\.0\.1:\d+/g, 'server').replace(/\s+/g, ' ')}`;
  }
  console.log(`${part}: ${name} -> ${outcome}`);
}

function shown(value) {
  if (value === undefined) return 'nothing';
  return JSON.stringify(value, (name, inner) => {
    if (['version', 'created', 'lastUsed'].includes(name)) return inner === undefined ? inner : '?';
    return inner;
  });
}
