/** Mounting: what is decided for which kernel, and that a failure at any step leaves nothing behind. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ColdsealError } from '../../runtime/format/errors.ts';
import { ComposefsHeader } from '../../runtime/format/composefs.ts';
import {
  type MountCapabilities,
  probeMountCapabilities,
} from '../../runtime/mount-capabilities.ts';
import { type MountJob, mountImage, overlayOptionString } from '../../runtime/mount-steps.ts';
import {
  checkMountOptions,
  hasVerityRegression,
  type MountFacts,
  type MountRequest,
  mountWarnings,
  parseImageDigest,
  planMount,
} from '../../runtime/mounts.ts';
import type { KernelMeasurement } from '../../runtime/sys.ts';
import { codeOf } from '../support/expect-code.ts';
import { FakeSys, type FakeSettings, MODERN_KERNEL } from '../support/fake-sys.ts';

const test = suite('mounts');

const DIGEST = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);
const REQUEST: MountRequest = {
  image: 'image.cfs',
  target: '/mnt',
  basedirs: ['/objects'],
  verity: 'off',
  readOnly: true,
  source: 'composefs',
};
const FACTS: MountFacts = { hasAcl: false, objectVerity: ['enabled'] };

/** Kernels by what they lack, newest first; each has what is below it in the table of the reference. */
const KERNELS = {
  '6.18': {},
  '6.13': { detachedLayers: false },
  '6.8': { detachedLayers: false, descriptorLayers: false },
  '6.6': { detachedLayers: false, descriptorLayers: false, appendLayers: false },
  '6.5': {
    detachedLayers: false,
    descriptorLayers: false,
    appendLayers: false,
    overlayVerity: false,
  },
  '5.15': {
    detachedLayers: false,
    descriptorLayers: false,
    appendLayers: false,
    overlayVerity: false,
    overlayContext: false,
  },
} as const satisfies Record<string, Partial<MountCapabilities>>;

type KernelName = keyof typeof KERNELS;
const kernelOf = (name: KernelName): MountCapabilities => ({
  ...MODERN_KERNEL,
  kernelRelease: name,
  ...KERNELS[name],
});

const PLANS: readonly [KernelName, imageMount: string, layers: string][] = [
  ['6.18', 'detached', 'descriptors'],
  ['6.13', 'temporary directory', 'descriptors'],
  ['6.8', 'temporary directory', 'append'],
  ['6.6', 'temporary directory', 'string'],
  ['5.15', 'temporary directory', 'string'],
];

for (const [name, imageMount, layers] of PLANS) {
  test(`kernel ${name} mounts with ${imageMount}, ${layers}`, () => {
    const plan = planMount(kernelOf(name), REQUEST, FACTS);
    assert.equal([plan.imageMount, plan.layers], [imageMount, layers]);
  });
  test(`kernel ${name} is recognised by asking it`, () => {
    const sys = new FakeSys({ kernel: kernelOf(name) });
    assert.equal(probeMountCapabilities(sys), kernelOf(name));
    assert.equal(sys.left(), []);
  });
}

const VERITY: readonly [MountRequest['verity'], KernelName, MountFacts['objectVerity'], string][] =
  [
    ['require', '6.18', ['enabled'], 'required'],
    ['require', '6.18', ['unknown'], 'required'],
    ['require', '6.18', ['enabled', 'absent'], 'HOST_NO_VERITY'],
    ['require', '6.5', ['enabled'], 'HOST_KERNEL_FEATURE'],
    ['if-supported', '6.18', ['enabled', 'enabled'], 'required'],
    ['if-supported', '6.18', ['enabled', 'absent'], 'objects have none'],
    ['if-supported', '6.18', ['unknown'], 'objects have none'],
    ['if-supported', '6.5', ['enabled'], 'not supported by kernel'],
    ['off', '6.18', [], 'off'],
    ['off', '6.5', [], 'off'],
  ];

for (const [verity, kernel, objectVerity, expected] of VERITY) {
  test(`verity=${verity} on ${kernel} with objects ${objectVerity.join(' ')}: ${expected}`, () => {
    const basedirs = objectVerity.map((_, index) => `/objects${index}`);
    const request = { ...REQUEST, verity, ...(basedirs.length > 0 ? { basedirs } : {}) };
    let result = '';
    const code = codeOf(() => {
      result = planMount(kernelOf(kernel), request, { ...FACTS, objectVerity }).fileVerity;
    });
    assert.is(code === 'nothing was thrown' ? result : code, expected);
  });
}

const REFUSED: readonly [string, Partial<MountRequest>, Partial<MountCapabilities>][] = [
  ['USAGE_MOUNT_OPTIONS', { basedirs: [] }, {}],
  ['USAGE_MOUNT_OPTIONS', { basedirs: ['/a', ''] }, {}],
  ['USAGE_MOUNT_OPTIONS', { upperdir: '/u' }, {}],
  ['USAGE_MOUNT_OPTIONS', { workdir: '/w' }, {}],
  ['USAGE_MOUNT_OPTIONS', { upperdir: '', workdir: '/w' }, {}],
  ['HOST_KERNEL_FEATURE', {}, { erofs: false }],
  ['HOST_KERNEL_FEATURE', {}, { overlay: false }],
];

test('requests that cannot be done are refused', () => {
  for (const [code, request, kernel] of REFUSED) {
    const plan = (): unknown => {
      checkMountOptions({ ...REQUEST, ...request });
      return planMount({ ...MODERN_KERNEL, ...kernel }, REQUEST, FACTS);
    };
    assert.is(codeOf(plan), code, JSON.stringify([request, kernel]));
  }
});

test('a kernel without fsopen is older than EROFS, and is told so', () => {
  const sys = new FakeSys({ kernel: { ...MODERN_KERNEL, newMountApi: false } });
  const kernel = probeMountCapabilities(sys);
  assert.equal([kernel.newMountApi, kernel.erofs, kernel.overlay], [false, false, false]);
  assert.is(
    codeOf(() => planMount(kernel, REQUEST, FACTS)),
    'HOST_KERNEL_FEATURE',
  );
});

test('a digest is whole or an error', () => {
  assert.equal(parseImageDigest(DIGEST.toUpperCase()), { algorithm: 'sha256', digest: DIGEST });
  assert.is(parseImageDigest('0'.repeat(128)).algorithm, 'sha512');
  for (const text of [
    '',
    'a',
    'abc',
    'ab',
    `${DIGEST}00`,
    'zz'.repeat(32),
    ` ${DIGEST.slice(1)}`,
  ]) {
    assert.is(
      codeOf(() => parseImageDigest(text)),
      'USAGE_BAD_DIGEST',
      text,
    );
  }
});

test('Linux 7.0 is known to fail with verity', () => {
  for (const [release, expected] of [
    ['7.0.0', true],
    ['7.0-rc3', true],
    ['7.0', true],
    ['7.01.2', false],
    ['7.1.0', false],
    ['6.18.0', false],
    ['17.0.1', false],
  ] as const) {
    assert.is(hasVerityRegression(release), expected, release);
  }
  assert.is(mountWarnings('7.0.1', 'required').length, 1);
  assert.is(mountWarnings('7.0.1', 'off').length, 0);
  assert.is(mountWarnings('7.1.0', 'required').length, 0);
});

test('the old option string escapes comma, colon and backslash', () => {
  const request = {
    ...REQUEST,
    basedirs: ['/a,b', '/c:d', '/e\\f'],
    upperdir: '/u,',
    workdir: '/w:',
  };
  const plan = planMount(kernelOf('6.6'), { ...request, verity: 'require' }, FACTS);
  assert.is(
    overlayOptionString(plan, '/tmp/x'),
    'metacopy=on,redirect_dir=on,lowerdir=/tmp/x::/a\\,b::/c\\:d::/e\\\\f,upperdir=/u\\,,workdir=/w\\:,verity=require',
  );
});

const IMAGE = ComposefsHeader.encode({ version: 1, flags: 0, composefs_version: 0 });
const IMAGE_WITH_ACL = ComposefsHeader.encode({ version: 1, flags: 1, composefs_version: 0 });
const OBJECT = `/objects/00/${'0'.repeat(62)}`;

function fake(settings: FakeSettings = {}): FakeSys {
  return new FakeSys({
    files: {
      '/image': IMAGE,
      '/acl': IMAGE_WITH_ACL,
      [OBJECT]: new Uint8Array(1),
      '/junk': new Uint8Array(64),
    },
    directories: { '/objects': ['.x', '00', 'ff'], '/objects/00': ['0'.repeat(62)], '/empty': [] },
    ...settings,
  });
}

function attempt(sys: FakeSys, job: Partial<MountJob> = {}, image = '/image'): unknown {
  const fd = sys.open(image);
  try {
    return mountImage(sys, fd, { request: REQUEST, computeDigest: () => DIGEST, ...job });
  } finally {
    sys.close(fd);
  }
}

for (const name of Object.keys(KERNELS) as KernelName[]) {
  for (const erofsFromFile of [true, false]) {
    const settings = { kernel: kernelOf(name), erofsFromFile };
    const request = { ...REQUEST, upperdir: '/upper', workdir: '/work', readOnly: false };
    const title = `on ${name}${erofsFromFile ? '' : ' with a loop device'}`;

    test(`a mount ${title} leaves only the mount`, () => {
      const sys = fake(settings);
      attempt(sys, { request });
      assert.equal([...sys.mounts.keys()], ['/mnt']);
      assert.is(sys.mounts.get('/mnt')!.type, 'overlay');
      assert.equal(sys.left('/mnt'), []);
    });

    test(`a mount ${title} forbids what it is asked to`, () => {
      const sys = fake(settings);
      attempt(sys, { request: { ...request, nosuid: true, nodev: true } });
      const expected = { readOnly: false, nosuid: true, nodev: true, noexec: false };
      assert.equal(sys.overlayAttributes, expected);
    });

    test(`a mount ${title} that fails at any call leaves nothing`, () => {
      const whole = fake(settings);
      attempt(whole, { request });
      assert.ok(whole.count > 5);
      for (let failAt = 1; failAt <= whole.count; failAt++) {
        const sys = fake(settings);
        sys.failAt = failAt;
        let code = 'nothing was thrown';
        try {
          attempt(sys, { request });
        } catch (error) {
          code = (error as ColdsealError).code;
        }
        // A probe that fails may only make the plan more careful.
        if (code === 'nothing was thrown') assert.equal([...sys.mounts.keys()], ['/mnt']);
        assert.equal(
          sys.left(...(code === 'nothing was thrown' ? ['/mnt'] : [])),
          [],
          `call ${failAt}: ${sys.calls.at(-1)}`,
        );
      }
    });
  }
}

test('ACLs are switched off unless the header asks for them', () => {
  for (const [image, expected] of [
    ['/image', true],
    ['/acl', false],
  ] as const) {
    const sys = fake();
    attempt(sys, {}, image);
    assert.is(sys.calls.includes('fsconfig noacl flag'), expected);
  }
});

test('what is not an image is refused before anything is mounted', () => {
  const sys = fake();
  assert.is(
    codeOf(() => attempt(sys, {}, '/junk')),
    'FORMAT_NOT_AN_IMAGE',
  );
  assert.equal(sys.left(), []);
});

test('a missing object directory is named', () => {
  const request = { ...REQUEST, basedirs: ['/nope'], verity: 'require' } as const;
  assert.is(
    codeOf(() => attempt(fake(), { request })),
    'HOST_NOT_FOUND',
  );
});

test('a step that the kernel refuses is named, with what the kernel says', () => {
  const sys = fake();
  attempt(sys);
  sys.failAt = 0;
  const failing = fake();
  failing.failAt =
    sys.calls
      .filter((call) => !/^(close|unmount|removeDirectory)/.test(call))
      .indexOf('fsconfig redirect_dir on') + 1;
  assert.throws(
    () => attempt(failing),
    /Cannot set overlay option redirect_dir \(the kernel says: a message\)/,
  );
});

const measured = (
  digest: string,
  algorithm: 'sha256' | 'sha512' = 'sha256',
): KernelMeasurement => ({
  verity: 'measured',
  algorithm,
  digest,
});

const DIGESTS: readonly [
  KernelMeasurement,
  computed: string,
  MountRequest['verity'],
  expected: string,
][] = [
  [measured(DIGEST), OTHER, 'require', 'kernel-measured'],
  [measured(OTHER), DIGEST, 'require', 'VERIFY_IMAGE_DIGEST'],
  [measured(`${DIGEST.slice(0, -1)}0`), DIGEST, 'require', 'VERIFY_IMAGE_DIGEST'],
  [measured(OTHER), DIGEST, 'if-supported', 'VERIFY_IMAGE_DIGEST'],
  [measured(OTHER), DIGEST, 'off', 'VERIFY_IMAGE_DIGEST'],
  [measured('ef'.repeat(64), 'sha512'), DIGEST, 'require', 'VERIFY_IMAGE_NO_VERITY'],
  [measured('ef'.repeat(64), 'sha512'), DIGEST, 'if-supported', 'computed'],
  [{ verity: 'not-enabled' }, DIGEST, 'require', 'VERIFY_IMAGE_NO_VERITY'],
  [{ verity: 'unsupported' }, DIGEST, 'require', 'HOST_NO_VERITY'],
  [{ verity: 'unsupported' }, DIGEST, 'if-supported', 'computed'],
  [{ verity: 'unsupported' }, OTHER, 'if-supported', 'VERIFY_IMAGE_DIGEST'],
  [{ verity: 'not-enabled' }, OTHER, 'off', 'VERIFY_IMAGE_DIGEST'],
  [{ verity: 'not-enabled' }, DIGEST, 'off', 'computed'],
];

for (const [kernel, computed, verity, expected] of DIGESTS) {
  const shown =
    kernel.verity === 'measured'
      ? `${kernel.algorithm} ${kernel.digest.slice(0, 2)}`
      : kernel.verity;
  test(`kernel says ${shown}, reading says ${computed.slice(0, 2)}, verity=${verity}: ${expected}`, () => {
    const sys = fake({ measure: (path) => (path === OBJECT ? measured('00'.repeat(32)) : kernel) });
    const job = {
      request: { ...REQUEST, verity },
      digest: parseImageDigest(DIGEST),
      computeDigest: () => computed,
    };
    let result = '';
    const code = codeOf(() => {
      result = (attempt(sys, job) as { imageDigest: string }).imageDigest;
    });
    assert.is(code === 'nothing was thrown' ? result : code, expected);
    assert.equal(sys.left(...(code === 'nothing was thrown' ? ['/mnt'] : [])), []);
    if (code !== 'nothing was thrown')
      assert.is(
        sys.calls.some((call) => call.startsWith('fsopen')),
        false,
        'nothing was begun',
      );
  });
}

test.run();
