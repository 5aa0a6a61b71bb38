/** What an attacker or a failing medium may do to slot a of a fake board, and the reason code of each. */
import { encodeDenyList } from '../../runtime/format/deny-list.ts';
import { signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import {
  imagePath,
  makeBoard,
  powerOn,
  putManifest,
  seal,
  signed,
  slotManifest,
} from './board-lab.ts';
import type { FakeBoard } from './fake-board.ts';
import { KEYS, makeChain, testSigner } from './test-pki.ts';

export const MANIFEST = 'slots/a/manifest.cose';

/** Changes a byte and seals the file again: an attacker who can write the whole disk. */
export function flip(board: FakeBoard, path: string, at: number): void {
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

export const denyList = (version: number, manifests: readonly Uint8Array[] = []): Uint8Array =>
  signEnvelope(
    'deny list',
    encodeDenyList({ version, keys: [], certificates: [], manifests, epochs: new Map() }),
    testSigner([5]),
  );

const production = (change: Parameters<typeof slotManifest>[1]): Uint8Array =>
  signed(slotManifest('a', change));

export const REFUSALS: readonly [name: string, change: (board: FakeBoard) => void, code: string][] =
  [
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
    [
      'image: a byte of a failing medium',
      (board) => rot(board, imagePath('a')),
      'HOST_READ_FAILED',
    ],
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
