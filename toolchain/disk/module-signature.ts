/**
 * The signature that the build of a kernel appends to its modules, and how it is cut off.
 *
 * A signed module is: the ELF file, the signature (PKCS#7), `struct module_signature` with its length, a mark of 28
 * bytes. What is before them is the module as it was compiled, and the kernel loads it as an unsigned one. All but
 * the length and the kind of signature must be zero, as in the kernel's own check.
 *
 * Source: Linux include/linux/module_signature.h, kernel/module_signature.c.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';

const MARK = Buffer.from('~Module signature appended~\n');
/** algo, hash, id_type, signer_len, key_id_len, three reserved bytes, and the length in big-endian order. */
const RECORD_BYTES = 12;
const ID_TYPE = 2;
const LENGTH = 8;
/** The only kind there is since Linux 4.3. */
const PKEY_ID_PKCS7 = 2;

/** A module without its signature; one that has none is returned as it is. Throws FORMAT_MODULE_SIGNATURE. */
export function stripModuleSignature(name: string, module: Uint8Array): Uint8Array {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.length);
  const markAt = bytes.length - MARK.length;
  if (markAt < 0 || !bytes.subarray(markAt).equals(MARK)) return module;
  const refuse = (problem: string): ColdsealError =>
    new ColdsealError(
      'FORMAT_MODULE_SIGNATURE',
      `Cannot cut the signature off module ${name}: ${problem}`,
      { hint: 'the module is damaged, or set kernel.module_signatures to keep' },
    );
  const recordAt = markAt - RECORD_BYTES;
  if (recordAt < 0) throw refuse('it ends before the record of its signature');
  const record = bytes.subarray(recordAt, markAt);
  record.subarray(0, LENGTH).forEach((value, at) => {
    const expected = at === ID_TYPE ? PKEY_ID_PKCS7 : 0;
    if (value !== expected)
      throw refuse(`byte ${at} of its record is ${value}, expected ${expected}`);
  });
  const length = record.readUInt32BE(LENGTH);
  if (length === 0 || length >= recordAt) {
    throw refuse(`it says ${length} bytes of ${recordAt}, expected a part of them`);
  }
  return module.subarray(0, recordAt - length);
}
