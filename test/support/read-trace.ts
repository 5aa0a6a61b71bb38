/**
 * Reads Perfetto traces in tests, from the bytes themselves and from what `protoc --decode` prints of them, into the
 * same value; and says what the rules of the format are that a trace breaks.
 *
 * Field numbers are those of test/vectors/perfetto.proto.
 */

export interface TraceTrack {
  readonly uuid: number;
  readonly name: string;
  readonly parent: number | null;
  readonly pid: number | null;
  readonly rank: number | null;
  readonly isCounter: boolean;
}

export interface TraceEvent {
  readonly atNs: number;
  readonly type: 'begin' | 'end' | 'instant' | 'counter';
  readonly track: number;
  readonly name: string | null;
  readonly value: number | null;
}

export interface Packet {
  readonly sequence: number | null;
  readonly isCleared: boolean;
  readonly track: TraceTrack | null;
  readonly event: TraceEvent | null;
}

export interface TraceSlice {
  readonly name: string;
  readonly startNs: number;
  /** Null: it never ended. */
  readonly endNs: number | null;
}

/** Values of fields by their number. */
type Fields = Map<number, (number | Uint8Array)[]>;

const TYPES = [null, 'begin', 'end', 'instant', 'counter'] as const;
const NAMES = ['', 'TYPE_SLICE_BEGIN', 'TYPE_SLICE_END', 'TYPE_INSTANT', 'TYPE_COUNTER'] as const;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Packets of a trace, from its bytes. */
export function readTrace(bytes: Uint8Array): Packet[] {
  return (fieldsOf(bytes).get(1) ?? []).map((packet) => {
    const fields = fieldsOf(packet as Uint8Array);
    const track = messageOf(fields, 60);
    const event = messageOf(fields, 11);
    return {
      sequence: numberOf(fields, 10),
      isCleared: numberOf(fields, 13) === 1,
      track: track === null ? null : trackOf(track),
      event: event === null ? null : eventOf(event, numberOf(fields, 8)),
    };
  });
}

function trackOf(fields: Fields): TraceTrack {
  const process = messageOf(fields, 3);
  return {
    uuid: numberOf(fields, 1)!,
    name: textOf(fields, 2)!,
    parent: numberOf(fields, 5),
    pid: process === null ? null : numberOf(process, 1),
    rank: numberOf(fields, 12),
    isCounter: fields.has(8),
  };
}

function eventOf(fields: Fields, atNs: number | null): TraceEvent {
  return {
    atNs: atNs!,
    type: TYPES[numberOf(fields, 9)!]!,
    track: numberOf(fields, 11)!,
    name: textOf(fields, 23),
    value: numberOf(fields, 30),
  };
}

function fieldsOf(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): number => {
    let [value, unit] = [0, 1];
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('a varint is cut off');
      value += (byte & 127) * unit;
      if (byte < 128) return value;
      unit *= 128;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const field = Math.floor(key / 8);
    let value: number | Uint8Array = varint();
    if (key % 8 === 2) {
      at += value;
      if (at > bytes.length) throw new Error('a message is cut off');
      value = bytes.subarray(at - value, at);
    } else if (key % 8 !== 0) throw new Error(`wire type ${key % 8}`);
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

function numberOf(fields: Fields, field: number): number | null {
  return (fields.get(field)?.[0] ?? null) as number | null;
}

function textOf(fields: Fields, field: number): string | null {
  const bytes = fields.get(field)?.[0];
  return bytes === undefined ? null : UTF8.decode(bytes as Uint8Array);
}

function messageOf(fields: Fields, field: number): Fields | null {
  const bytes = fields.get(field)?.[0];
  return bytes === undefined ? null : fieldsOf(bytes as Uint8Array);
}

type Block = Map<string, (string | Block)[]>;

/** Packets of a trace, from what protoc printed. Throws where protoc met a field that the description has not. */
export function readDecodedTrace(text: string): Packet[] {
  const lines = text.split('\n').map((line) => line.trim());
  const root = blockOf(lines[Symbol.iterator]());
  return (root.get('packet') ?? []).map((packet) => {
    const block = packet as Block;
    const track = (block.get('track_descriptor')?.[0] ?? null) as Block | null;
    const event = (block.get('track_event')?.[0] ?? null) as Block | null;
    return {
      sequence: printed(block, 'trusted_packet_sequence_id'),
      isCleared: printed(block, 'sequence_flags') === 1,
      track: track === null ? null : printedTrack(track),
      event: event === null ? null : printedEvent(event, printed(block, 'timestamp')),
    };
  });
}

function blockOf(lines: Iterator<string>): Block {
  const block: Block = new Map();
  for (let next = lines.next(); next.done !== true && next.value !== '}'; next = lines.next()) {
    const line = next.value;
    if (line === '') continue;
    const [, name, rest] = /^([a-z_]+)(?:: (.*)| \{)$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`protoc printed an unknown field: ${line}`);
    block.set(name, [...(block.get(name) ?? []), rest ?? blockOf(lines)]);
  }
  return block;
}

function printedTrack(block: Block): TraceTrack {
  const process = block.get('process')?.[0] as Block | undefined;
  return {
    uuid: printed(block, 'uuid')!,
    name: printedText(block, 'name')!,
    parent: printed(block, 'parent_uuid'),
    pid: process === undefined ? null : printed(process, 'pid'),
    rank: printed(block, 'sibling_order_rank'),
    isCounter: block.has('counter'),
  };
}

function printedEvent(block: Block, atNs: number | null): TraceEvent {
  const type = NAMES.indexOf(block.get('type')?.[0] as (typeof NAMES)[number]);
  return {
    atNs: atNs!,
    type: TYPES[type]!,
    track: printed(block, 'track_uuid')!,
    name: printedText(block, 'name'),
    value: printed(block, 'counter_value'),
  };
}

function printed(block: Block, name: string): number | null {
  const text = block.get(name)?.[0];
  return text === undefined ? null : Number(text);
}

/** Text in protoc's quotes: C escapes, bytes outside ASCII in octal. */
function printedText(block: Block, name: string): string | null {
  const text = block.get(name)?.[0] as string | undefined;
  if (text === undefined) return null;
  const bytes = text
    .slice(1, -1)
    .replace(/\\([0-7]{3}|.)/g, (_, escape: string) =>
      escape.length === 3 ? String.fromCharCode(Number.parseInt(escape, 8)) : escape,
    );
  return UTF8.decode(Buffer.from(bytes, 'latin1'));
}

/** Slices of each track that has some, by the path of names that leads to it. Throws where they do not nest. */
export function slicesOf(packets: readonly Packet[]): [path: string, slices: TraceSlice[]][] {
  const tracks = new Map(packets.flatMap(({ track }) => (track ? [[track.uuid, track]] : [])));
  const pathOf = (uuid: number | null): string[] => {
    const track = uuid === null ? undefined : tracks.get(uuid);
    return track === undefined ? [] : [...pathOf(track.parent), track.name];
  };
  return [...tracks.keys()].flatMap((uuid): [string, TraceSlice[]][] => {
    const slices: TraceSlice[] = [];
    let open: { name: string; startNs: number } | null = null;
    for (const { event } of packets) {
      if (event?.track !== uuid) continue;
      if (event.type === 'begin') {
        if (open !== null) throw new Error(`${pathOf(uuid).join('/')}: slices lie over each other`);
        open = { name: event.name!, startNs: event.atNs };
      } else if (event.type === 'end') {
        if (open === null) throw new Error('an end without a beginning');
        slices.push({ ...open, endNs: event.atNs });
        open = null;
      }
    }
    if (open !== null) slices.push({ ...open, endNs: null });
    return slices.length === 0 ? [] : [[pathOf(uuid).join('/'), slices]];
  });
}

/** Rules of the format that a trace breaks; none for a good one. */
export function traceFaults(packets: readonly Packet[]): string[] {
  const faults: string[] = [];
  const tracks = new Map<number, TraceTrack>();
  const ends = new Map<number, number>();
  const pids = new Set<number>();
  let last = 0;
  if (packets.some(({ sequence }) => sequence !== packets[0]!.sequence || !sequence)) {
    faults.push('packets of several sequences, or of none');
  }
  if (packets.some(({ isCleared }, i) => isCleared !== (i === 0))) {
    faults.push('the state is not cleared once, at the beginning');
  }
  for (const { track, event } of packets) {
    if (track !== null) {
      if (tracks.has(track.uuid) || track.uuid === 0) faults.push(`uuid ${track.uuid} twice, or 0`);
      if (track.parent !== null && !tracks.has(track.parent)) faults.push('a parent comes later');
      if ((track.parent === null) !== (track.pid !== null)) faults.push('a track without process');
      if (track.pid !== null && pids.has(track.pid)) faults.push(`pid ${track.pid} twice`);
      if (track.pid !== null) pids.add(track.pid);
      tracks.set(track.uuid, track);
    }
    if (event === null) continue;
    const on = tracks.get(event.track);
    if (on === undefined) faults.push('an event before its track');
    if ((event.type === 'counter') !== (on?.isCounter === true)) faults.push('a wrong track');
    if (!Number.isSafeInteger(event.atNs) || event.atNs < last) faults.push('time goes back');
    if (event.type === 'begin' && event.atNs < (ends.get(event.track) ?? 0)) {
      faults.push('a slice begins in the one before it');
    }
    if (event.type === 'end') ends.set(event.track, event.atNs);
    last = event.atNs;
  }
  try {
    slicesOf(packets);
  } catch (error) {
    faults.push((error as Error).message);
  }
  return faults;
}
