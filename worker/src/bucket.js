// @ts-check
/** An object that is there stays as it is: a batch that comes again is the same. */
const ONCE = { onlyIf: new Headers({ 'if-none-match': '*' }), httpMetadata: { contentType: 'application/x-ndjson' } };

/**
 * Puts an object into the bucket of inference tables.
 *
 * @param {{ put(key: string, body: string, options: object): Promise<unknown> }} bucket
 * @param {string} key
 * @param {string} body
 */
export async function put(bucket, key, body) {
  await bucket.put(key, body, ONCE);
}
