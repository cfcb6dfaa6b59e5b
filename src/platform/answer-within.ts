/** An answer that may never come, asked for while somebody waits: a scrape of metrics waits for its collectors. */

/** What `asked` comes to. @throws as it fails, or when it takes longer than `limitMs`; it goes on then. */
export async function within<T>(asked: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`expected an end within ${limitMs / 1_000} s, found it at work`));
    }, limitMs);
  });
  try {
    // What fails after the limit is caught here too: the race has looked at it.
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What `asked` resolves to, or undefined when it fails or takes longer than `limitMs`. */
export function answerWithin<T>(asked: Promise<T>, limitMs: number): Promise<T | undefined> {
  return within(asked, limitMs).catch(() => undefined);
}
