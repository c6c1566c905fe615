// @ts-check
/**
 * Checks a signature with WebCrypto. Which key and what was signed is core's.
 *
 * @param {string} key the public key, a JWK
 * @param {string} algorithm RS256 or ES256
 * @param {Uint8Array} signature
 * @param {Uint8Array} signed
 * @returns {Promise<boolean>} false also for a key that cannot be used
 */
export async function verify(key, algorithm, signature, signed) {
  const form = algorithm === 'ES256'
    ? { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
    : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  try {
    const imported = await crypto.subtle.importKey('jwk', JSON.parse(key), form, false, ['verify']);
    return await crypto.subtle.verify(form, imported, signature, signed);
  } catch {
    return false;
  }
}
