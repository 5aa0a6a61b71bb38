/**
 * Attacks on the device policy: every value at every depth changed, removed and given another type, bits flipped, and
 * settings that do not go together. What is read is what the bytes say, or nothing is.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { equalBytes } from '../../runtime/format/bytes.ts';
import { decodeCanonical, encodeCanonical } from '../../runtime/format/cbor.ts';
import {
  decodeDevicePolicy,
  type DevicePolicy,
  encodeDevicePolicy,
  type FailureAction,
} from '../../runtime/format/device-policy.ts';
import { mutations } from '../support/cbor-mutations.ts';
import { codeOf } from '../support/expect-code.ts';
import { testDevicePolicy } from '../support/policies.ts';

const test = suite('tamper: device policy');
const LIMITS = { maxBytes: 65536, maxDepth: 8, maxItems: 5000 };

const halt: FailureAction = { action: 'halt' };
const PRODUCTION: Partial<DevicePolicy> = { isProduction: true, roles: [1, 3] };
const GOOD: readonly Partial<DevicePolicy>[] = [
  {},
  PRODUCTION,
  { identity: { kind: 'smbios', vendor: 'QEMU', product: 'Standard PC (Q35 + ICH9, 2009)' } },
  { onFailure: [{ action: 'shell' }], verity: 'if-supported', containerOutput: 'console' },
  { onFailure: [{ action: 'power-off' }], slotCount: 1, modules: [] },
  { onFailure: [{ action: 'shell' }, { action: 'recovery' }, halt] },
  { algorithms: [-7], onFailure: [{ action: 'restart', delayS: 0, max: 255 }, halt] },
];

test('a policy is read as it was written', () => {
  for (const changes of GOOD) {
    const policy = testDevicePolicy(changes);
    assert.equal(decodeDevicePolicy(encodeDevicePolicy(policy)), policy);
  }
});

test('sets have one spelling, whatever the order they are given in', () => {
  const [first, second] = [
    testDevicePolicy(),
    testDevicePolicy({ algorithms: [-8, -37], roles: [3, 2] }),
  ];
  assert.ok(equalBytes(encodeDevicePolicy(first), encodeDevicePolicy(second)));
});

/** What the decoder makes of bytes: a code, or proof that it read exactly them. */
function outcome(changed: Uint8Array, where: string): string {
  return codeOf(() => {
    const policy = decodeDevicePolicy(changed);
    assert.ok(equalBytes(encodeDevicePolicy(policy), changed), `${where}: read as something else`);
  });
}

test('every field changed is refused, or means what it says', () => {
  for (const changes of GOOD) {
    const bytes = encodeDevicePolicy(testDevicePolicy(changes));
    let refused = 0;
    for (const [where, tree] of mutations(decodeCanonical(bytes, LIMITS), 'policy')) {
      const changed = encodeCanonical(tree);
      if (equalBytes(changed, bytes)) continue;
      const code = outcome(changed, where);
      assert.match(code, /^(nothing was thrown|FORMAT_POLICY_FIELD|FORMAT_CBOR_)/, where);
      if (code !== 'nothing was thrown') refused++;
    }
    assert.ok(refused > 250, `${refused} refused`);
  }
});

test('of 1,000 random bit flips each is refused or read as it says', () => {
  const bytes = encodeDevicePolicy(testDevicePolicy());
  let state = 1;
  for (let i = 0; i < 1000; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const bit = (state >>> 8) % (bytes.length * 8);
    const changed = bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
    assert.match(
      outcome(changed, `bit ${bit}`),
      /^(nothing was thrown|FORMAT_POLICY_FIELD|FORMAT_CBOR_)/,
    );
  }
});

test('settings that do not go together are refused', () => {
  const bad: Partial<DevicePolicy>[] = [
    { ...PRODUCTION, roles: [1, 2] },
    { ...PRODUCTION, verity: 'if-supported' },
    { ...PRODUCTION, onFailure: [{ action: 'shell' }] },
    { onFailure: [] },
    { onFailure: [{ action: 'recovery' }] },
    { onFailure: [{ action: 'restart', delayS: 1, max: 1 }] },
    { onFailure: [halt, { action: 'recovery' }] },
    { onFailure: [halt, { action: 'power-off' }] },
    { onFailure: [halt, { action: 'shell' }] },
    { onFailure: [{ action: 'shell' }, { action: 'recovery' }] },
    { onFailure: [{ action: 'recovery' }, { action: 'recovery' }, halt] },
    { onFailure: [{ action: 'restart', delayS: 3601, max: 1 }, halt] },
    { onFailure: [{ action: 'restart', delayS: 1, max: 0 }, halt] },
    { onFailure: [{ action: 'restart', delayS: 1, max: 256 }, halt] },
    { modules: ['ext4', 'ext4'] },
    { modules: ['../x'] },
    { modules: [''] },
    { modules: Array.from({ length: 65 }, (_, i) => `m${i}`) },
    { epochs: new Map() },
    { roles: [] },
    { algorithms: [] },
    { triesMax: 0 },
    { triesMax: 16 },
    { storeDeadlineMs: 0 },
    { containerDeadlineMs: 60_001 },
    { product: '' },
    { board: 'a b' },
    ...['sbin/init', '/sbin/../init', '/sbin/./init', '/', '/sbin/', '/a b', '/a\n'].flatMap(
      (path) => [{ init: path }, { containerEngine: path }],
    ),
    { identity: { kind: 'devicetree', compatible: '' } },
    { identity: { kind: 'smbios', vendor: 'a\n', product: 'b' } },
  ];
  for (const changes of bad) {
    const bytes = encodeDevicePolicy(testDevicePolicy(changes));
    const what = JSON.stringify(changes);
    assert.is(
      codeOf(() => decodeDevicePolicy(bytes)),
      'FORMAT_POLICY_FIELD',
      what,
    );
  }
});

test('names that only look like a step up are allowed', () => {
  for (const init of ['/..a', '/a..', '/usr/lib/systemd/systemd', '/.hidden/init']) {
    assert.is(decodeDevicePolicy(encodeDevicePolicy(testDevicePolicy({ init }))).init, init);
  }
});

test.run();
