/** The tamper table on the fake board: what was changed, the reason code of the slot, and that the other one boots. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SEALED_TRUST } from '../../runtime/device-paths.ts';
import { encodeDenyList } from '../../runtime/format/deny-list.ts';
import { encodeTrustBundle } from '../../runtime/format/trust.ts';
import { signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import {
  imagePath,
  makeBoard,
  OBJECT_PATH,
  powerOn,
  putManifest,
  seal,
  setPolicy,
  setState,
  signed,
  slotManifest,
} from '../support/board-lab.ts';
import { digestOf, type FakeBoard, type FakeRun } from '../support/fake-board.ts';
import { KEYS, makeChain, testAnchor, testSigner } from '../support/test-pki.ts';

const test = suite('boot refusals');

const MANIFEST = 'slots/a/manifest.cose';

/** Changes a byte and seals the file again: an attacker who can write the whole disk. */
function flip(board: FakeBoard, path: string, at: number): void {
  const bytes = board.store.get(path)!.bytes.slice();
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  seal(board, path, bytes);
}

/** Changes a byte below what was sealed, as a failing medium does. */
function rot(board: FakeBoard, path: string): void {
  const file = board.store.get(path)!;
  file.bytes = file.bytes.slice();
  file.bytes[file.bytes.length - 1]! ^= 1;
}

const denyList = (version: number, manifests: readonly Uint8Array[] = []): Uint8Array =>
  signEnvelope(
    'deny list',
    encodeDenyList({ version, keys: [], certificates: [], manifests, epochs: new Map() }),
    testSigner([5]),
  );

const production = (change: Parameters<typeof slotManifest>[1]): Uint8Array =>
  signed(slotManifest('a', change));

const TABLE: readonly [name: string, change: (board: FakeBoard) => void, code: string][] = [
  ['manifest: signature', (board) => flip(board, MANIFEST, -1), 'VERIFY_SIGNATURE'],
  ['manifest: a byte of a failing medium', (board) => rot(board, MANIFEST), 'HOST_READ_FAILED'],
  ['manifest: empty', (board) => putManifest(board, 'a', new Uint8Array()), 'FORMAT_ENVELOPE'],
  [
    'manifest: too large',
    (board) => putManifest(board, 'a', new Uint8Array(64 * 1024 + 1)),
    'FORMAT_FILE_KIND',
  ],
  [
    'manifest: a symbolic link',
    (board) => (board.store.get(MANIFEST)!.kind = 'symlink'),
    'HOST_READ_FAILED',
  ],
  [
    "manifest: a stranger's root",
    (board) => {
      const root = { key: KEYS.other, issuerKey: KEYS.other };
      const chain = makeChain({ purposes: [1], root, intermediate: { issuerKey: KEYS.other } });
      putManifest(board, 'a', signed(slotManifest('a'), testSigner([1], chain)));
    },
    'VERIFY_ANCHOR_UNKNOWN',
  ],
  [
    'manifest: a role the board does not accept',
    (board) => putManifest(board, 'a', signed(slotManifest('a', { role: 2 }), testSigner([2]))),
    'VERIFY_ROLE_NOT_ACCEPTED',
  ],
  [
    'manifest: a role the key is not for',
    (board) => putManifest(board, 'a', signed(slotManifest('a', { role: 2 }), testSigner([1]))),
    'VERIFY_ROLE_MISMATCH',
  ],
  [
    "manifest: another board's",
    (board) => putManifest(board, 'a', production({ boards: ['fsl,imx8mp-evk'] })),
    'VERIFY_BOARD',
  ],
  [
    "manifest: another product's",
    (board) => putManifest(board, 'a', production({ product: 'other' })),
    'VERIFY_PRODUCT',
  ],
  [
    'manifest: an epoch below the policy',
    (board) => putManifest(board, 'a', production({ epochs: new Map([[1, 6]]) })),
    'VERIFY_EPOCH',
  ],
  [
    'manifest: no epoch of a required domain',
    (board) => putManifest(board, 'a', production({ epochs: new Map([[2, 9]]) })),
    'VERIFY_EPOCH_MISSING',
  ],
  [
    'manifest: no system image',
    (board) => {
      const images = slotManifest('a').images.filter(({ role }) => role !== 1);
      putManifest(board, 'a', production({ images }));
    },
    'VERIFY_ROOT_IMAGE',
  ],
  [
    'manifest: two images for the root',
    (board) => {
      const [system, ...others] = slotManifest('a').images;
      const images = [system!, { ...system!, name: 'z' }, ...others];
      putManifest(board, 'a', production({ images }));
    },
    'VERIFY_ROOT_IMAGE',
  ],
  [
    'manifest: a configuration as the root',
    (board) => {
      const images = slotManifest('a').images.map((image) => ({
        ...image,
        mount: ([2, 2, 1] as const)[image.role - 1]!,
      }));
      putManifest(board, 'a', production({ images }));
    },
    'VERIFY_ROOT_IMAGE',
  ],
  [
    'manifest: asks for a deny list that is not there',
    (board) => putManifest(board, 'a', production({ minDenyVersion: 2 })),
    'VERIFY_DENY_LIST_OLD',
  ],
  [
    'manifest: denied',
    (board) => {
      const [payload] = [slotManifest('a')].map((manifest) => signed(manifest));
      const digest = manifestDigest(payload!);
      seal(board, 'slots/a/deny.cose', denyList(1, [digest]));
    },
    'VERIFY_MANIFEST_DENIED',
  ],
  [
    'deny list: damaged',
    (board) => {
      seal(board, 'slots/a/deny.cose', denyList(1));
      flip(board, 'slots/a/deny.cose', -1);
    },
    'VERIFY_SIGNATURE',
  ],
  [
    'image: a byte, sealed again',
    (board) => flip(board, imagePath('a'), 5000),
    'VERIFY_IMAGE_DIGEST',
  ],
  ['image: a byte of a failing medium', (board) => rot(board, imagePath('a')), 'HOST_READ_FAILED'],
  [
    'image: swapped for another valid one',
    (board) => {
      const other = board.store.get(imagePath('b'))!;
      board.store.set(imagePath('a'), other);
    },
    'VERIFY_IMAGE_DIGEST',
  ],
  [
    'image: another size',
    (board) => {
      const { bytes } = board.store.get(imagePath('a'))!;
      seal(board, imagePath('a'), Buffer.concat([bytes, Buffer.alloc(4096)]));
    },
    'VERIFY_IMAGE_SIZE',
  ],
  ['image: missing', (board) => board.store.delete(imagePath('a', 1)), 'HOST_NOT_FOUND'],
  ['image: cut off', (board) => truncate(board, imagePath('a', 2)), 'VERIFY_IMAGE_SIZE'],
  [
    'image: a symbolic link',
    (board) => (board.store.get(imagePath('a', 2))!.kind = 'symlink'),
    'HOST_READ_FAILED',
  ],
  [
    'image: not sealed',
    (board) => delete board.store.get(imagePath('a', 1))!.sealed,
    'VERIFY_IMAGE_NO_VERITY',
  ],
];

function truncate(board: FakeBoard, path: string): void {
  seal(board, path, board.store.get(path)!.bytes.slice(0, -4096));
}

/** SHA-256 of an envelope's payload: what deny lists name. */
function manifestDigest(envelope: Uint8Array): Uint8Array {
  const board = makeBoard();
  putManifest(board, 'a', envelope);
  return Buffer.from(powerOn(board).record!.release!.manifestSha256, 'hex');
}

for (const [name, change, code] of TABLE) {
  test(`${name}: ${code}, and the other slot boots`, () => {
    const board = makeBoard();
    change(board);
    const { end, attempts, record, device, log } = powerOn(board);
    assert.equal([end, attempts], ['exec', [`a ${code}`, 'b ok']], log);
    assert.is(record!.slot, 'b');
    // What is mounted belongs to b, and nothing of a is left.
    assert.is(device.imageMounts.length, 3);
    const images = device.imageMounts.map((path) => device.mounts.get(path)!.image!);
    assert.equal([...images].sort(), [0, 1, 2].map((index) => imagePath('b', index)).sort());
    assert.equal(device.openHandles, []);
    assert.match(log, new RegExp(`slot a refused: ${code}: `));
  });
}

test('a kernel that measures something else than the disk holds is believed, not the disk', () => {
  const lie = (path: string): boolean => path === imagePath('a');
  const { attempts } = powerOn(makeBoard(), {
    measure: (path, honest) =>
      lie(path) ? { verity: 'measured', algorithm: 'sha256', digest: '0'.repeat(64) } : honest,
  });
  assert.equal(attempts, ['a VERIFY_IMAGE_DIGEST', 'b ok']);
});

const MEASURES: readonly [string, NonNullable<FakeRun['measure']>, string][] = [
  ['nothing', () => ({ verity: 'unsupported' }), 'HOST_NO_VERITY'],
  ['no fs-verity', () => ({ verity: 'not-enabled' }), 'VERIFY_IMAGE_NO_VERITY'],
  [
    'another algorithm',
    () => ({ verity: 'measured', algorithm: 'sha512', digest: '0'.repeat(128) }),
    'VERIFY_IMAGE_NO_VERITY',
  ],
];

for (const [what, measure, code] of MEASURES) {
  test(`a kernel that measures ${what}: ${code} for every slot`, () => {
    const { end, attempts, device } = powerOn(makeBoard(), { measure });
    assert.equal([end, attempts.slice(0, 2)], ['restart', [`a ${code}`, `b ${code}`]]);
    assert.equal(device.imagesMounted, []);
  });
}

test('without fs-verity and where the policy allows it, the digest is computed', () => {
  const board = makeBoard();
  setPolicy(board, { verity: 'if-supported' });
  const { end, record } = powerOn(board, { measure: () => ({ verity: 'unsupported' }) });
  assert.equal([end, record!.images[0]!.measured], ['exec', 'computed']);
  flip(board, imagePath('a'), 5000);
  const second = powerOn(board, { measure: () => ({ verity: 'unsupported' }) });
  assert.equal(second.attempts, ['a VERIFY_IMAGE_DIGEST', 'b ok']);
});

test('objects are the business of the kernel: a missing one does not stop the boot', () => {
  const board = makeBoard();
  board.store.delete(OBJECT_PATH);
  board.store.set(`objects/00/${'0'.repeat(62)}`, {
    bytes: new Uint8Array(1),
    sealed: digestOf(new Uint8Array(1)),
  });
  assert.equal(powerOn(board).attempts, ['a ok']);
});

test('objects without fs-verity are refused before anything is mounted', () => {
  const board = makeBoard();
  delete board.store.get(OBJECT_PATH)!.sealed;
  const { attempts, device } = powerOn(board);
  assert.equal(attempts.slice(0, 2), ['a HOST_NO_VERITY', 'b HOST_NO_VERITY']);
  assert.equal(device.imagesMounted, []);
});

test('both slots wrong for the sealed trust: nothing boots', () => {
  const board = makeBoard({ recovery: true });
  const anchors = [testAnchor(KEYS.other)];
  board.initramfs.set(SEALED_TRUST, encodeTrustBundle({ version: 1, anchors }));
  const { end, attempts, device } = powerOn(board);
  const refused = ['a', 'b', 'recovery'].map((slot) => `${slot} VERIFY_ANCHOR_UNKNOWN`);
  assert.equal([end, attempts, device.imagesMounted], ['restart', refused, []]);
});

test('every byte of a manifest counts: changed and sealed again, it never boots', () => {
  const { length } = signed(slotManifest('a'));
  for (let at = 0; at < length; at += 97) {
    const board = makeBoard();
    flip(board, MANIFEST, at);
    const { attempts } = powerOn(board);
    assert.match(attempts[0]!, /^a (VERIFY|FORMAT)_/, `byte ${at}`);
    assert.is(attempts[1], 'b ok', `byte ${at}`);
  }
});

test('a state that claims higher epochs only makes it stricter', () => {
  const board = makeBoard();
  setState(board, { epochs: new Map([[1, 3]]) });
  assert.equal(powerOn(board).attempts, ['a ok']);
  setState(board, { epochs: new Map([[9, 1]]) });
  assert.is(powerOn(board).attempts[0], 'a VERIFY_EPOCH_MISSING');
});

test('a deny list version that was accepted before is asked for again', () => {
  const board = makeBoard();
  setState(board, { denyVersion: 3 });
  seal(board, 'slots/b/deny.cose', denyList(3));
  assert.equal(powerOn(board).attempts, ['a VERIFY_DENY_LIST_OLD', 'b ok']);
});

test.run();
