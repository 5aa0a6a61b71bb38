/**
 * The rules between settings of a board file, one row each.
 *
 * A row runs whenever the settings it reads are sound by themselves, so that one reading of the file tells every
 * problem: a mistyped figure does not hide a development key on a production board.
 */
import { parseCommandLine } from '../../runtime/command-line.ts';
import type { Board } from './board-shape.ts';
import { BUDGET_STAGES, failureAction } from './boot-settings.ts';
import { MACHINE_ARCH } from './hardware-settings.ts';
import { enforcingWord } from './module-rules.ts';
import { isOlder, SINCE } from './kernel-version.ts';

/** Says what is wrong at a path; the text continues a sentence that begins with the path. */
type Tell = (path: (string | number)[], message: string) => void;

interface Rule {
  readonly reads: readonly (keyof Board)[];
  readonly check: (board: Board, tell: Tell) => void;
}

const BOARD_RULES: readonly Rule[] = [
  { reads: ['production', 'signing'], check: developmentRole },
  { reads: ['production', 'verity'], check: verityOfProduction },
  { reads: ['verity', 'kernel'], check: kernelForVerity },
  { reads: ['compatible', 'smbios'], check: identity },
  { reads: ['epochs'], check: epochDomains },
  { reads: ['kernel', 'arch'], check: kernelOrigin },
  { reads: ['kernel'], check: moduleNames },
  { reads: ['kernel'], check: moduleSignatures },
  { reads: ['kernel', 'production', 'slots'], check: commandLine },
  { reads: ['on_failure', 'production'], check: failureSteps },
  { reads: ['virtual', 'arch'], check: virtualMachine },
  { reads: ['budget'], check: budgetParts },
];

/** Applies every rule whose settings have no problem of their own. */
export function checkRules(board: Board, faulty: ReadonlySet<unknown>, tell: Tell): void {
  for (const { reads, check } of BOARD_RULES) {
    if (!reads.some((key) => faulty.has(key))) check(board, tell);
  }
}

function developmentRole({ production, signing }: Board, tell: Tell): void {
  const index = signing.roles.indexOf('development');
  if (!production || index < 0) return;
  tell(['signing', 'roles', index], 'is development, expected another role on a production board');
}

function verityOfProduction({ production, verity }: Board, tell: Tell): void {
  if (!production || verity.mode === 'require') return;
  tell(['verity', 'mode'], `is ${verity.mode}, expected require on a production board`);
}

function kernelForVerity({ verity, kernel }: Board, tell: Tell): void {
  const { min_version: version } = kernel;
  if (verity.mode !== 'require' || !isOlder(version, SINCE.overlayVerity)) return;
  const message = `is ${version}, expected at least ${SINCE.overlayVerity} with verity.mode require`;
  tell(['kernel', 'min_version'], message);
}

function identity({ compatible, smbios }: Board, tell: Tell): void {
  if (compatible.length > 0 || smbios !== undefined) return;
  tell(['compatible'], 'is missing, expected it or smbios');
}

function epochDomains({ epochs }: Board, tell: Tell): void {
  const domains = epochs.map(({ domain }) => domain);
  domains.forEach((domain, index) => {
    if (domains.indexOf(domain) === index) return;
    tell(['epochs', index, 'domain'], `is ${domain} again, expected another number`);
  });
}

/** Debian's names of the architectures, which its kernel packages end in. */
const DEBIAN_ARCH = { x86_64: 'amd64', aarch64: 'arm64' } as const;

function kernelOrigin({ kernel, arch }: Board, tell: Tell): void {
  const [suffix] = /-(?:amd64|arm64)$/.exec(kernel.package?.name ?? '') ?? [];
  if (suffix !== undefined && suffix !== `-${DEBIAN_ARCH[arch]}`) {
    const message = `is ${kernel.package?.name}, expected one for ${DEBIAN_ARCH[arch]}`;
    tell(['kernel', 'package', 'name'], message);
  }
  if (kernel.package !== undefined && kernel.image !== undefined) {
    tell(['kernel', 'image'], 'stands beside package, expected one of the two');
  }
  if (kernel.modules !== undefined && kernel.image === undefined) {
    tell(['kernel', 'modules'], 'has no effect without image');
  }
}

function moduleNames({ kernel }: Board, tell: Tell): void {
  // The kernel takes dashes and underscores in names of modules for the same.
  const names = kernel.load.map((name) => name.replaceAll('-', '_'));
  names.forEach((name, index) => {
    if (names.indexOf(name) === index) return;
    tell(['kernel', 'load', index], `is ${kernel.load[index]} again, expected each module once`);
  });
}

/** A kernel that was told to enforce signatures loads nothing without one. */
function moduleSignatures({ kernel }: Board, tell: Tell): void {
  if (kernel.module_signatures === 'keep') return;
  const word = enforcingWord(kernel.command_line);
  if (word === undefined) return;
  const message = `is strip, and ${word} on the command line refuses unsigned modules, expected keep`;
  tell(['kernel', 'module_signatures'], message);
}

/** What on a kernel's command line would take the boot away from the runtime, or make it refuse the line. */
function commandLine({ kernel, production, slots }: Board, tell: Tell): void {
  const at = ['kernel', 'command_line'];
  for (const quoted of kernel.command_line.split(' ')) {
    const word = quoted.replaceAll('"', '');
    if (!word.startsWith('rdinit=')) continue;
    tell(at, `has ${word}, expected the runtime to stay the first program`);
  }
  const board = { isProduction: production, slotCount: slots.count };
  const { problem } = parseCommandLine(kernel.command_line, board);
  if (problem !== undefined) tell(at, `is refused by the runtime: ${problem.message}`);
}

function failureSteps({ on_failure: steps, production }: Board, tell: Tell): void {
  const actions = steps.map((step) => failureAction(step).action);
  const isFinal = (action: string | undefined): boolean =>
    action === 'halt' || action === 'power-off';
  actions.forEach((action, index) => {
    const at = ['on_failure', index];
    if (action === 'shell' && production) {
      tell([...at, 'shell'], 'is there, expected no shell on a production board');
    }
    if (actions.indexOf(action) < index) tell(at, `is ${action} again, expected each action once`);
    if (isFinal(action) && index < actions.length - 1) {
      tell(at, `is ${action}, expected it last: nothing after it is ever done`);
    }
  });
  const last = actions.at(-1);
  if (isFinal(last)) return;
  const message = `is ${last}, which can fail, expected halt or power_off as the last action`;
  tell(['on_failure', actions.length - 1], message);
}

function virtualMachine({ virtual, arch }: Board, tell: Tell): void {
  if (virtual?.unpack_kernel === true && arch !== 'x86_64') {
    tell(
      ['virtual', 'unpack_kernel'],
      `is true, expected false for ${arch}: no kernel unpacks itself there`,
    );
  }
  if (virtual === undefined || MACHINE_ARCH[virtual.machine] === arch) return;
  const fitting = Object.entries(MACHINE_ARCH).flatMap(([name, of]) => (of === arch ? [name] : []));
  tell(
    ['virtual', 'machine'],
    `is ${virtual.machine}, expected ${fitting.join(' or ')} for ${arch}`,
  );
}

function budgetParts({ budget }: Board, tell: Tell): void {
  const { total_ms: total, reserve_ms: reserve, start, stop, stretches, constants } = budget;
  if (reserve >= total)
    tell(['budget', 'reserve_ms'], `is ${reserve}, expected less than total_ms`);
  if (start === stop) tell(['budget', 'stop'], `is ${stop}, expected another event than start`);
  const names: string[] = [...BUDGET_STAGES];
  stretches.forEach(({ name, from, to }, index) => {
    const at = ['budget', 'stretches', index];
    if (names.includes(name)) tell([...at, 'name'], `is ${name} again, expected a name of its own`);
    if (from === to) tell([...at, 'to'], `is ${to}, expected another event than from`);
    names.push(name);
  });
  constants.forEach(({ from, to }, index) => {
    const at = ['budget', 'constants', index, 'to'];
    if (from === to) tell(at, `is ${to}, expected another event than from`);
    const same = constants.findIndex((other) => other.from === from || other.to === to);
    if (same < index) tell(at, `is in constants[${same}] too, expected one constant at each event`);
  });
}
