/** Whether one path is below another, and whether a path says plainly where it leads. Text alone; links are the caller's. */

/** Whether `path` is `root` or below it; both absolute and without links. */
export function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith("/") ? root : `${root}/`);
}

/** Whether a path is absolute and means what it says: with `..` behind a link the kernel goes elsewhere than the text. */
export function isPlainAbsolute(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0") && !path.split("/").includes("..");
}

/** Whether two absolute paths without links name the same folder, with or without a slash at the end. */
export function isSameFolder(a: string, b: string): boolean {
  return a.replace(/\/+$/, "") === b.replace(/\/+$/, "");
}
