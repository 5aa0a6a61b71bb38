/**
 * Says which file an error of the formats is about: the pure code that found it has only seen bytes.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';

/** Runs `read`; its ColdsealErrors get `doing`, such as `Cannot use trust file x.pem`, in front. */
export function namingFile<T>(doing: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    const { code, hint, message } = error;
    throw new ColdsealError(code, `${doing}: ${message}`, { hint, cause: error });
  }
}
