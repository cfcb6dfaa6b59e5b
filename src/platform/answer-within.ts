/** An answer that may never come, asked for while somebody waits: a scrape of metrics waits for its collectors. */

/** What `asked` resolves to, or undefined when it fails or takes longer than `limitMs`. */
export async function answerWithin<T>(asked: Promise<T>, limitMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, limitMs, undefined);
  });
  try {
    // Also an answer that fails after the limit must not be an error that nobody catches.
    return await Promise.race([asked.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}
