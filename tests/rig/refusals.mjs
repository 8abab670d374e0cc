// Calls operations that the server does not implement, and writes its errors and whether the next operation on the same
// connection succeeds.
//
// Arguments: port, cache.

import infinispan from 'infinispan';

const [port, cacheName] = process.argv.slice(2);
const client = await infinispan.client({ host: '127.0.0.1', port: Number(port) }, {
  cacheName, maxRetries: 0, topologyUpdates: false, dataFormat: { keyType: 'application/json', valueType: 'application/json' },
});
await client.put('a', '1');
await step('query', () => client.query({ queryString: 'FROM example.Person' }));
await step('an unknown task', () => client.execute('no-such-task', {}));
process.exit(0);

async function step(name, asked) {
  let outcome;
  try {
    outcome = JSON.stringify(await asked());
  } catch (error) {
    outcome = `! ${String(error.message ?? error)}`;
  }
  console.log(`${name} -> ${outcome} | then ${await client.get('a')}`);
}
