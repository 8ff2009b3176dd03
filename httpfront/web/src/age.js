// Encryption end to end: age (age-encryption.org/v1), by its author's package.

import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { ScryptIdentity, X25519Identity } from "age-encryption/recipients";
import { forceWebCryptoOff } from "age-encryption/x25519";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

export { sha256 };

// A page that did not come by https, or from this machine, has no WebCrypto, which
// the package does not expect. It has the same in JavaScript.
if (!globalThis.crypto.subtle) forceWebCryptoOff(true);

// newKey makes an identity for one file, as text.
export function newKey() {
  return generateX25519Identity();
}

// sealed encrypts a stream of bytes to whoever has the key.
export async function sealed(stream, key) {
  const e = new Encrypter();
  e.addRecipient(await identityToRecipient(key));
  return e.encrypt(stream);
}

// opened decrypts a stream with a key or a passphrase. fileKey is what the sender
// has in common with this page, and nobody else: proofs are made with it. The
// package does not tell it, so its identities are asked by one of our own.
export async function opened(stream, { key, passphrase }) {
  const identity = key ? new X25519Identity(key) : new ScryptIdentity(passphrase);
  let fileKey = null;
  const d = new Decrypter();
  d.addIdentity({
    unwrapFileKey: async (stanzas) => (fileKey = await identity.unwrapFileKey(stanzas)),
  });
  return { stream: await d.decrypt(stream), fileKey };
}

// proof says what a sum is to somebody who has the file's key; without one it is
// the sum. docs/files.md has the words.
export function proof(fileKey, word, sum) {
  if (fileKey === null) return hex(sum);
  const text = new TextEncoder().encode(`patchwork ${word}\n`);
  const all = new Uint8Array(text.length + sum.length);
  all.set(text);
  all.set(sum, text.length);
  return hex(hmac(sha256, fileKey, all));
}

function hex(bytes) {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
