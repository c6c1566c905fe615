// @ts-check
/**
 * Signs with WebCrypto. Which key and what is signed is core's.
 *
 * @param {string} pem a private key of RSA, PKCS 8
 * @param {string} input
 * @returns {Promise<string>} base64url; empty for a key that cannot be used
 */
export async function sign(pem, input) {
  try {
    const der = Uint8Array.from(atob(pem.replace(/-----[A-Z ]+-----|\s/g, '')), (c) => c.charCodeAt(0));
    const form = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('pkcs8', der, form, false, ['sign']);
    const signature = new Uint8Array(await crypto.subtle.sign(form, key, new TextEncoder().encode(input)));
    return btoa(String.fromCharCode(...signature)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  } catch {
    return '';
  }
}
