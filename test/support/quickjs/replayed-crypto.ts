/**
 * What `node:crypto` means on QuickJS: the answers that the Node run of the same test file recorded, in their order.
 * SHA-256 is the engine's own. See recorded-crypto.ts.
 */
import record from 'coldseal:record';
import type { Host } from '../../../runtime/engines/quickjs/host.ts';
import { fromHex, toHex } from '../../../runtime/format/bytes.ts';

declare global {
  // oxlint-disable-next-line no-var -- `var` is how TypeScript declares a global
  var COLDSEAL_HOST: Host;
}

let next = 0;

function replay(call: string): string | Uint8Array {
  const entry = record[next++] ?? 'nothing';
  const [, name, kind, value] = /^(\S+) (.) ([^]*)$/.exec(entry) ?? [];
  if (name !== call) throw new Error(`the Node run did ${entry.slice(0, 40)}, here it is ${call}`);
  return kind === 's' ? value! : Buffer.from(fromHex(value!)!);
}

interface Key {
  readonly asymmetricKeyType: string;
  readonly export: () => string | Uint8Array;
}

function replayKey(): Key {
  return { asymmetricKeyType: replay('key') as string, export: () => replay('export') };
}

export const constants = { RSA_PKCS1_PADDING: 1, RSA_NO_PADDING: 3, RSA_PKCS1_PSS_PADDING: 6 };
export const createPrivateKey = replayKey;
export const createPublicKey = replayKey;
export const generateKeyPairSync = (): Record<'privateKey' | 'publicKey', Key> => ({
  privateKey: replayKey(),
  publicKey: replayKey(),
});

export function sign(_algorithm: string | null, data: Uint8Array): string | Uint8Array {
  if (replay('message') !== toHex(COLDSEAL_HOST.sha256(new Uint8Array(data)))) {
    throw new Error('the Node run signed other bytes here');
  }
  return replay('sign');
}

export const privateEncrypt = (): string | Uint8Array => replay('privateEncrypt');

function digestOf(algorithm: string, parts: readonly Uint8Array[]): Uint8Array {
  if (algorithm !== 'sha256') return replay('hash') as Uint8Array;
  return Buffer.from(COLDSEAL_HOST.sha256(Buffer.concat(parts)));
}

interface Hash {
  readonly update: (data: Uint8Array | string) => Hash;
  readonly digest: (encoding?: 'hex') => string | Uint8Array;
}

export function createHash(algorithm: string): Hash {
  const parts: Uint8Array[] = [];
  const self: Hash = {
    update: (data) => {
      parts.push(Buffer.from(data as Uint8Array));
      return self;
    },
    digest: (encoding) => {
      const digest = digestOf(algorithm, parts);
      return encoding === undefined ? digest : toHex(digest);
    },
  };
  return self;
}

export const hash = (algorithm: string, data: Uint8Array): string =>
  Buffer.from(digestOf(algorithm, [data])).toString('latin1');

/** An answer that another module had noted. */
export const replayAnswer = (call: string): string => replay(call) as string;
