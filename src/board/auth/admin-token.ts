/** The one secret that opens the board. */
import { constants } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { InfrastructureError, InvalidInputError, messageOf } from "../../contract/errors.ts";
import { newToken } from "../../platform/http/access.ts";
import { makeFoldersAsync } from "../../platform/make-folders.ts";

export interface AdminToken {
  readonly token: string;
  /** Where it is kept, when it was made just now and has to be told. */
  readonly madeAt: string | undefined;
}

const MIN_LENGTH = 16;

/** The given token, else the one kept in `home`, else a new one, which is kept for its owner alone. */
export async function loadAdminToken(home: string, given: string | undefined): Promise<AdminToken> {
  const path = join(home, "board-token");
  if (given !== undefined) return { token: checked(given, "HEADROOM_BOARD_TOKEN"), madeAt: undefined };
  await makeFoldersAsync(home);
  const token = newToken();
  try {
    // O_EXCL: of several boards that start at once, one makes the token and the others read it.
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      await file.writeFile(`${token}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    return { token, madeAt: path };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      const message = `expected to write the board's token to ${path}: ${messageOf(error)}`;
      throw new InfrastructureError(message, { cause: error });
    }
    return { token: checked((await readFile(path, "utf8")).trim(), path), madeAt: undefined };
  }
}

function checked(token: string, where: string): string {
  if (token.length >= MIN_LENGTH) return token;
  const expected = `at least ${MIN_LENGTH} characters`;
  throw new InvalidInputError("board token", [{ where, expected, found: `${token.length}` }]);
}
