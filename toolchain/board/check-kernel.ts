/**
 * A kernel's configuration against a board: what is missing, what is unsafe, what costs time.
 *
 * The rules are tables (kernel-needs, kernel-controllers, kernel-safety, kernel-time). An option that can be a module
 * is as good as built in when the board loads the module, but costs time.
 */
import type { Board } from './board-shape.ts';
import { KERNEL_CONTROLLERS } from './kernel-controllers.ts';
import { configName, type KernelConfig } from './kernel-config.ts';
import { KERNEL_NEEDS } from './kernel-needs.ts';
import type { KernelRule } from './kernel-rule.ts';
import { KERNEL_SAFETY } from './kernel-safety.ts';
import { KERNEL_TIME, moduleCost } from './kernel-time.ts';
import { BROKEN_OVERLAY_VERITY, isOlder } from './kernel-version.ts';

export type RuleClass = 'function' | 'safety' | 'time';

export const RULES: Readonly<Record<RuleClass, readonly KernelRule[]>> = {
  function: [...KERNEL_NEEDS, ...KERNEL_CONTROLLERS],
  safety: KERNEL_SAFETY,
  time: KERNEL_TIME,
};

/** Modules that boards load, and their options, beside those that rules name. */
const MODULE_OPTIONS: ReadonlyMap<string, string> = new Map([
  ...[...RULES.function, ...RULES.time].flatMap(({ module, option, or }): [string, string][] => {
    // The module of the last choice: loop is not the module of EROFS_FS_BACKED_BY_FILE.
    return module === undefined ? [] : [[module, module === 'loop' ? or![0]! : option]];
  }),
  ['fuse', 'FUSE_FS'],
  ['dm_verity', 'DM_VERITY'],
]);

/** What one option should be, and why. */
export interface KernelFinding {
  readonly class: RuleClass;
  readonly severity: 'problem' | 'warning';
  /** `CONFIG_EROFS_FS`; `kernel` for what is about all of it. */
  readonly option: string;
  /** Its value, `n` when it is off or not there. */
  readonly is: string;
  readonly why: string;
  readonly source: string;
  /** What to set. */
  readonly set: string;
}

/** Everything a kernel has against it, problems first, then in the order of the tables. */
export function checkKernel(board: Board, config: KernelConfig): KernelFinding[] {
  const classes = Object.keys(RULES) as RuleClass[];
  const findings = [
    ...checkIdentity(board, config),
    ...classes.flatMap((name) =>
      RULES[name].flatMap((rule) => applyRule(board, config, name, rule) ?? []),
    ),
    ...checkModules(board, config),
  ];
  const isProblem = ({ severity }: KernelFinding): number => (severity === 'problem' ? 0 : 1);
  return findings.sort((a, b) => isProblem(a) - isProblem(b));
}

function applyRule(
  board: Board,
  { options }: KernelConfig,
  name: RuleClass,
  rule: KernelRule,
): KernelFinding | undefined {
  const { option, or = [], wanted, module } = rule;
  if (rule.when?.(board) === false) return undefined;
  if (rule.onlyWith !== undefined && options.get(rule.onlyWith) !== 'y') return undefined;
  const is = options.get(option) ?? 'n';
  const isOn = (each: string): boolean => options.get(each) === 'y';
  if (or.some(isOn) || (wanted === 'on' ? is === 'y' : is === 'n')) return undefined;
  const isModule = [option, ...or].some((each) => options.get(each) === 'm');
  // What a module costs is told once for each, with the modules of the board.
  if (wanted === 'on' && isModule && module !== undefined && isLoaded(board, module)) {
    return undefined;
  }
  const isBroken = name === 'function' && rule.isAdvice !== true;
  const load = isModule && module !== undefined ? `, or list ${module} in kernel.load` : '';
  return {
    class: name,
    severity: isBroken ? 'problem' : 'warning',
    option: configName(option),
    is,
    why: rule.why,
    source: rule.source,
    set: wanted === 'on' ? `${configName(option)}=y${load}` : offText(option, or),
  };
}

function offText(option: string, or: readonly string[]): string {
  const other = or.map((each) => `, or ${configName(each)}=y`).join('');
  return `# ${configName(option)} is not set${other}`;
}

/** The modules the board loads: there at all, and what they cost. */
function checkModules(board: Board, { options }: KernelConfig): KernelFinding[] {
  return board.kernel.load.flatMap((name): KernelFinding[] => {
    const option = MODULE_OPTIONS.get(plain(name));
    if (option === undefined) return [];
    const is = options.get(option) ?? 'n';
    if (is === 'y') return [];
    const common = { option: configName(option), is, set: `${configName(option)}=y` };
    if (is === 'm') {
      const why = `${name} is a module: ${moduleCost(board)}`;
      return [{ ...common, class: 'time', severity: 'warning', why, source: 'docs/boot-time.md' }];
    }
    const why = `kernel.load lists ${name}, and this kernel has no such module`;
    return [{ ...common, class: 'function', severity: 'problem', why, source: 'the board file' }];
  });
}

/** Whether it is a kernel for this board at all. */
function checkIdentity(board: Board, { arch, version }: KernelConfig): KernelFinding[] {
  const common = { class: 'function', severity: 'problem', option: 'kernel' } as const;
  const findings: KernelFinding[] = [];
  if (arch !== undefined && arch !== board.arch) {
    const why = `the board is ${board.arch}`;
    findings.push({
      ...common,
      is: arch,
      why,
      source: 'the board file',
      set: `ARCH=${board.arch}`,
    });
  }
  if (version === undefined) return findings;
  const { min_version: least } = board.kernel;
  if (isOlder(version, least)) {
    const why = `kernel.min_version is ${least}`;
    findings.push({ ...common, is: version, why, source: 'the board file', set: `Linux ${least}` });
  }
  if (version === BROKEN_OVERLAY_VERITY && board.verity.mode === 'require') {
    findings.push({
      ...common,
      is: version,
      why: 'overlayfs of Linux 7.0 cannot mount with verity=require',
      source: 'kernel commit f77f281b6118, bootc#2174',
      set: 'a later Linux',
    });
  }
  return findings;
}

function isLoaded(board: Board, module: string): boolean {
  return board.kernel.load.some((name) => plain(name) === module);
}

/** The kernel takes dashes and underscores in names of modules for the same. */
function plain(name: string): string {
  return name.replaceAll('-', '_');
}
