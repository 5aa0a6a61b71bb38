/** Event dictionaries: what a product calls its lines and edges, and what is wrong with a dictionary. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Dictionary, readDictionary } from '../../toolchain/budget/import/dictionary.ts';
import { at, fileLog, flagWords, importOne, rows, vectorLog } from '../support/boot-logs.ts';
import { expectCode } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('event dictionary');

const MS = 1e6;
const US = 1e3;

function dictionaryOf(yaml: string): Dictionary {
  using dir = tempDir();
  const path = join(dir.path, 'events.yaml');
  writeFileSync(path, yaml);
  return readDictionary(path).value;
}

const KERNEL = [
  '[    0.000000] Linux version 6.12.0',
  '[    0.200000] mmc0: new high speed card',
  '[    0.900000] Run /init as init process',
  '[    1.100000] cluster: frame 1',
  '[    1.400000] cluster: frame 2',
  '',
].join('\n');

test('events by their lines, the first or the last one', () => {
  const dictionary = dictionaryOf(`
events:
  - { name: card, pattern: 'mmc\\d: new .* card' }
  - { name: first-frame, pattern: '^cluster: frame' }
  - { name: last-frame, pattern: '^cluster: frame', which: last }
  - { name: never, pattern: 'no such line' }
stages:
  - { name: storage, from: kernel, to: card }
  - { name: start, from: card, to: init }
  - { name: picture, from: init, to: first-frame }
`);
  const boot = importOne(fileLog(KERNEL), { dictionary });
  assert.equal(
    ['card', 'first-frame', 'last-frame', 'never'].map((name) => at(boot, name)),
    [200 * MS, 1100 * MS, 1400 * MS, undefined],
  );
  assert.equal(rows(boot), [
    'storage 0 200000000',
    'start 200000000 900000000',
    'picture 900000000 1100000000',
  ]);
  assert.equal(boot.flags, []);
});

test('zero, start and stop', () => {
  const events =
    "events: [{ name: card, pattern: mmc }, { name: frame, pattern: 'frame 1' }, { name: sound, pattern: amp }]\n";
  const zero = importOne(fileLog(KERNEL), { dictionary: dictionaryOf(`${events}zero: card`) });
  assert.is(zero.clock.zero, 'card');
  assert.is(at(zero, 'frame'), 900 * MS);
  // What began before the zero is not in the record.
  assert.is(at(zero, 'kernel'), undefined);
  assert.equal(rows(zero), ['userspace 700000000 -']);
  const cases: readonly (readonly [
    rest: string,
    outcome: string,
    reason: string | null,
    flags: string,
  ])[] = [
    ['stop: frame', 'booted', null, ''],
    ['start: card\nstop: frame', 'booted', null, ''],
    ['stop: sound', 'failed', 'the stop event sound never came', ''],
    ['start: frame\nstop: card', 'booted', null, 'BUDGET_FLAG_STOP_BEFORE_START!'],
    ['start: sound\nstop: frame', 'booted', null, 'BUDGET_FLAG_EVENT_MISSING!'],
    ['zero: sound', 'booted', null, 'BUDGET_FLAG_EVENT_MISSING!'],
    ['stages: [{ name: a, from: sound, to: frame }]', 'booted', null, 'BUDGET_FLAG_EVENT_MISSING'],
    ['stages: [{ name: a, from: frame, to: card }]', 'booted', null, 'BUDGET_FLAG_STAGE_REVERSED!'],
  ];
  for (const [rest, outcome, reason, flags] of cases) {
    const boot = importOne(fileLog(KERNEL), { dictionary: dictionaryOf(events + rest) });
    assert.equal(
      [boot.outcome, boot.reason, flagWords(boot).join(' ')],
      [outcome, reason, flags],
      rest,
    );
  }
  const open = importOne(fileLog(KERNEL), {
    dictionary: dictionaryOf(`${events}stages: [{ name: a, from: frame, to: sound }]`),
  });
  assert.equal(rows(open), ['a 1100000000 -']);
});

test('the serial console and pins have events of the product too', () => {
  const serial = importOne(vectorLog('serial/grabserial-kernel.log'), {
    dictionary: dictionaryOf(
      "events: [{ name: frame, pattern: '^cluster: first frame shown' }]\nstop: frame",
    ),
  });
  // The line begins with [1.920809 …], and the first one with [0.000001 …].
  assert.is(at(serial, 'frame'), 1_920_808 * US);
  assert.is(serial.outcome, 'booted');
  const logic = importOne(
    fileLog(
      'Time [s],Power,Camera\n0.000000000,0,0\n0.100000000,1,0\n1.900000000,1,1\n2.000000000,1,0\n2.100000000,1,1\n',
    ),
    {
      dictionary: dictionaryOf(`
events:
  - { name: power-on, channel: Power, edge: rising }
  - { name: picture, channel: Camera, edge: rising }
  - { name: steady, channel: Camera, edge: rising, which: last }
stages: [{ name: boot, from: power-on, to: picture }]
zero: power-on
`),
    },
  );
  assert.is(logic.evidence, 'board-gpio');
  assert.equal(rows(logic), ['boot 0 1800000000']);
  assert.is(at(logic, 'steady'), 2000 * MS);
  const missing = dictionaryOf('events: [{ name: a, channel: Reverse, edge: falling }]');
  const error = expectCode(
    () => importOne(vectorLog('logic/sigrok-24mhz.csv'), { dictionary: missing }),
    'FORMAT_BOOT_LOG_INCOMPLETE',
  );
  assert.match(error.message, 'it has no channel Reverse for the event a, but D0, D1, D2');
});

test('a dictionary with mistakes is refused with all of them and their places', () => {
  const cases: readonly (readonly [yaml: string, problem: string])[] = [
    ['evnts: []', '1:1 events is missing, expected a list'],
    [
      'events: [{ name: a, patern: b }]',
      '1:29 events[0].patern is not a known setting, did you mean pattern?',
    ],
    ['events: [{ name: A, pattern: b }]', '1:18 events[0].name is "A", expected small letters'],
    [
      'events: [{ name: a }]',
      'events[0].pattern is needed, or a channel with its edge, and not both',
    ],
    [
      'events: [{ name: a, pattern: b, channel: c, edge: rising }]',
      'events[0].pattern is needed, or a channel',
    ],
    ['events: [{ name: a, channel: c }]', 'events[0].edge belongs to a channel'],
    ['events: [{ name: a, pattern: b, edge: rising }]', 'events[0].edge belongs to a channel'],
    ["events: [{ name: a, pattern: '(a' }]", 'events[0].pattern has a ( that is not closed'],
    [
      "events: [{ name: a, pattern: '(?=a)' }]",
      'events[0].pattern looks around with (?, which is not supported',
    ],
    [
      'events: [{ name: a, pattern: b, which: second }]',
      'events[0].which is "second", expected one of first, last',
    ],
    [
      'events: [{ name: a, pattern: b }, { name: a, pattern: c }]',
      '1:43 events[1].name is a, which is there already',
    ],
    [
      'events: [{ name: a, pattern: b }]\nstop: kernl',
      '2:7 stop is kernl, which is no event, did you mean kernel?',
    ],
    ['events: [{ name: a, pattern: b }]\nzero: z9x', '2:7 zero is z9x, which is no event'],
    [
      'events: [{ name: a, pattern: b }]\nstages: [{ name: s, from: a, to: frame }]',
      'stages[0].to is frame, which is no event',
    ],
    ['events: []', 'events is a list, expected at least 1 entries'],
  ];
  for (const [yaml, problem] of cases) {
    const error = expectCode(() => dictionaryOf(yaml), 'CONFIG_EVENT_DICTIONARY', yaml);
    assert.match(error.message, problem, yaml);
  }
  expectCode(() => dictionaryOf('events: [\n'), 'CONFIG_YAML');
});

test('a log that is given as a dictionary has a fault in every line, and some are shown', () => {
  const log = '- systemd: started: unit\n'.repeat(1000);
  const { message } = expectCode(() => dictionaryOf(log), 'CONFIG_YAML');
  assert.match(message, /: \d{3,} problems\n/, message.slice(0, 100));
  assert.match(message, /\n {2}and \d+ more$/);
  assert.is(message.split('\n').length, 52);
});

test.run();
