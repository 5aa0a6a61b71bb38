/**
 * Says which file an error of the formats is about: the pure code that found it has only seen bytes.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';

/** Runs `read`; its ColdsealErrors get `doing`, such as `Cannot use trust file x.pem`, in front. */
export function namingFile<T>(doing: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw withName(doing, error);
  }
}

/** The same for what takes time. */
export async function namingFileAsync<T>(doing: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw withName(doing, error);
  }
}

function withName(doing: string, error: unknown): unknown {
  if (!(error instanceof ColdsealError)) return error;
  const { code, hint, message } = error;
  return new ColdsealError(code, `${doing}: ${message}`, { hint, cause: error });
}
