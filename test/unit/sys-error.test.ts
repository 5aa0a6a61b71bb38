/** System errors become codes that a person can act on. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { errnoOf, explainSysError, SysError } from '../../runtime/sys-error.ts';

const test = suite('system errors');

const CASES: readonly [errno: string, code: string][] = [
  ['ENOENT', 'HOST_NOT_FOUND'],
  ['ENOTDIR', 'HOST_NOT_FOUND'],
  ['EACCES', 'HOST_PERMISSION'],
  ['EPERM', 'HOST_PERMISSION'],
  ['EROFS', 'HOST_PERMISSION'],
  ['ENOSPC', 'HOST_NO_SPACE'],
  ['EDQUOT', 'HOST_NO_SPACE'],
  ['EMFILE', 'HOST_SYSTEM_CALL'],
  ['EISDIR', 'HOST_SYSTEM_CALL'],
  ['EEXIST', 'HOST_SYSTEM_CALL'],
  ['ELOOP', 'HOST_SYSTEM_CALL'],
];

test('an errno has a code, and the message names what was tried', () => {
  for (const [errno, code] of CASES) {
    const cause = new SysError('open', errno, '/x');
    const error = explainSysError(cause, 'Cannot open /x', { hint: 'try y' }) as ColdsealError;
    assert.equal([error.code, error.hint, error.cause], [code, 'try y', cause]);
    // In words: the errno's name stays in the cause.
    assert.match(error.message, /^Cannot open \/x: [a-z, /-]+$/);
  }
  const other = explainSysError(new SysError('mount', 'EINVAL'), 'Cannot mount', {
    code: 'HOST_MOUNT_FAILED',
  });
  assert.is((other as ColdsealError).code, 'HOST_MOUNT_FAILED');
});

test('what is not a system error passes unchanged', () => {
  for (const error of [new Error('x'), new ColdsealError('FORMAT_X', 'x'), 'text', undefined]) {
    assert.is(explainSysError(error, 'Cannot'), error);
    assert.is(errnoOf(error), undefined);
  }
  assert.is(errnoOf(Object.assign(new Error('x'), { code: 'ERR_INVALID_ARG_TYPE' })), undefined);
});

test.run();
