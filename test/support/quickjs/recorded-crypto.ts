/**
 * What `node:crypto` means in the Node run of a test file that QuickJS runs afterwards: node:crypto, with a record of
 * all that it answered.
 *
 * QuickJS can verify, but neither sign nor make keys. The same test makes the same calls in the same order on both
 * engines, so the second run takes these answers from the record (replayed-crypto.ts). SHA-256 is not recorded: there
 * QuickJS has its own.
 */
import * as crypto from 'node:crypto';

/** One answer: what was called, then `b` and bytes in hexadecimal, or `s` and text. */
export const record: string[] = [];

function note<T>(call: string, value: T): T {
  record.push(
    typeof value === 'string'
      ? `${call} s ${value}`
      : `${call} b ${Buffer.from(value as Uint8Array).toString('hex')}`,
  );
  return value;
}

/** A key whose exports are recorded. */
function noteKey<T extends crypto.KeyObject>(key: T): T {
  note('key', key.asymmetricKeyType ?? '');
  const real = key.export.bind(key) as (options?: object) => unknown;
  return Object.assign(key, {
    export: (options?: object) => note('export', real(options) as string | Buffer),
  });
}

export const { constants } = crypto;

export const createPrivateKey = (from: crypto.PrivateKeyInput): crypto.KeyObject =>
  noteKey(crypto.createPrivateKey(from));
export const createPublicKey = (from: crypto.PublicKeyInput): crypto.KeyObject =>
  noteKey(crypto.createPublicKey(from));

type KeyPair = Record<'privateKey' | 'publicKey', crypto.KeyObject>;
const generate = crypto.generateKeyPairSync as unknown as (
  type: string,
  options?: object,
) => KeyPair;

export function generateKeyPairSync(type: string, options?: object): KeyPair {
  const { privateKey, publicKey } = generate(type, options);
  return { privateKey: noteKey(privateKey), publicKey: noteKey(publicKey) };
}

export const sign = (
  algorithm: string | null,
  data: Uint8Array,
  key: crypto.KeyObject | crypto.SignKeyObjectInput,
): Buffer => {
  note('message', crypto.createHash('sha256').update(data).digest('hex'));
  return note('sign', crypto.sign(algorithm, data, key));
};

export const privateEncrypt = (key: crypto.RsaPrivateKey, data: Uint8Array): Buffer =>
  note('privateEncrypt', crypto.privateEncrypt(key, data));

interface Hash {
  readonly update: (data: Uint8Array | string) => Hash;
  readonly digest: (encoding?: crypto.BinaryToTextEncoding) => string | Buffer;
}

export function createHash(algorithm: string): Hash {
  const hash = crypto.createHash(algorithm);
  const self: Hash = {
    update: (data) => {
      hash.update(data);
      return self;
    },
    digest: (encoding) => {
      const bytes = hash.digest();
      if (algorithm !== 'sha256') note('hash', bytes);
      return encoding === undefined ? bytes : bytes.toString(encoding);
    },
  };
  return self;
}

export function hash(algorithm: string, data: Uint8Array, encoding: 'binary'): string {
  const bytes = crypto.createHash(algorithm).update(data).digest();
  if (algorithm !== 'sha256') note('hash', bytes);
  return bytes.toString(encoding);
}

/** For what other modules want to have repeated. */
export const noteAnswer = (call: string, answer: string): string => note(call, answer);
