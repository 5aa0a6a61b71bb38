/** The tamper table on the fake board: what was changed, the reason code of the slot, and that the other one boots. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SEALED_TRUST } from '../../runtime/device-paths.ts';
import { encodeTrustBundle } from '../../runtime/format/trust.ts';
import {
  imagePath,
  makeBoard,
  OBJECT_PATH,
  powerOn,
  seal,
  setPolicy,
  setState,
  signed,
  slotManifest,
} from '../support/board-lab.ts';
import { digestOf, type FakeRun } from '../support/fake-board.ts';
import { denyList, flip, MANIFEST, REFUSALS } from '../support/refused-boards.ts';
import { KEYS, testAnchor } from '../support/test-pki.ts';

const test = suite('boot refusals');

for (const [name, change, code] of REFUSALS) {
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
