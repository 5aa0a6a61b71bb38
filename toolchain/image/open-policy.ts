/**
 * The SELinux policy that labels an image, from this machine or from the image itself.
 */
import { LabelPolicy } from '../selinux/policy.ts';
import { policyFilesOfTree, readPolicyFiles } from '../selinux/read-policy.ts';
import { type ContentPlaces, readContent } from './read-content.ts';
import type { TreeNode } from './tree.ts';

/** Where a policy is: in the image, or at a path on this machine. */
export type PolicyPlace = 'image' | { readonly path: string };

/** Throws CONFIG_SELINUX_POLICY, CONFIG_SELINUX_MISSING and what reading throws. */
export function openPolicy(
  place: PolicyPlace | undefined,
  root: TreeNode,
  places: ContentPlaces,
): LabelPolicy | undefined {
  if (place === undefined) return undefined;
  if (place !== 'image') return new LabelPolicy(readPolicyFiles(place.path));
  return new LabelPolicy(policyFilesOfTree(root, (file) => readContent(root, file, places)));
}
