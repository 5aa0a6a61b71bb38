/**
 * `User` of an image's configuration to numbers, by the image's own /etc/passwd and /etc/group.
 *
 * A number is always one, a name has to be there. Without a group, it is the user's own, with those that have the user
 * as a member. Lines that are malformed are passed over, as C libraries do.
 * Source: OCI Image Format Specification 1.1, conversion.md, "Parsed Fields"; runc, libcontainer/user, GetExecUser.
 */

/** `process.user` of config.json. */
export interface RuntimeUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids?: readonly number[];
}

export interface UserFiles {
  /** Text of the files; empty where there is none. */
  readonly passwd: string;
  readonly group: string;
}

const ID_MAX = 0xffff_fffe;

/** The numbers of `user` or `user:group`; undefined with the part that nothing explains. */
export function runtimeUser(
  spec: string,
  files: UserFiles,
): { readonly user: RuntimeUser } | { readonly unknown: string } {
  const colon = spec.indexOf(':');
  const userName = colon < 0 ? spec : spec.slice(0, colon);
  const groupName = colon < 0 ? '' : spec.slice(colon + 1);
  const wantedUid = userName === '' ? 0 : idOf(userName);
  const entry = lines(files.passwd).find(([name, , uid]) =>
    wantedUid === undefined ? name === userName : idOf(uid) === wantedUid,
  );
  const uid = entry === undefined ? wantedUid : idOf(entry[2]);
  if (uid === undefined) return { unknown: `user ${userName}` };
  const groups = lines(files.group);
  if (groupName !== '') {
    const gid = idOf(groupName) ?? idOf(groups.find(([name]) => name === groupName)?.[2]);
    return gid === undefined ? { unknown: `group ${groupName}` } : { user: { uid, gid } };
  }
  const gid = idOf(entry?.[3]) ?? 0;
  const additionalGids = groups.flatMap(([, , id, members]) => {
    const number = idOf(id);
    const isMember = entry !== undefined && members?.split(',').includes(entry[0]!) === true;
    return isMember && number !== undefined ? [number] : [];
  });
  return { user: { uid, gid, ...(additionalGids.length > 0 && { additionalGids }) } };
}

function lines(text: string): string[][] {
  return text.split('\n').map((line) => line.trim().split(':'));
}

function idOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= ID_MAX ? id : undefined;
}
