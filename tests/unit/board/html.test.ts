import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pathFromPrintable } from "../../../src/contract/path-bytes.ts";
import { escapeText, html } from "../../../src/board/page/html.ts";
import { bytesWords, durationWords, fileHref, percentWords, rateWords } from "../../../src/board/page/words.ts";
import { safeTarget } from "../../../src/board/auth/routes.ts";

describe("HTML of the board", () => {
  test("escapes every value but HTML that was made here", () => {
    const item = (text: string) => html`<i title="${text}">${text}</i>`;
    expect(html`${["<", `"'&`].map(item)}${null}${false}${undefined}${0}`.text).toBe(
      `<i title="&lt;">&lt;</i><i title="&quot;&#39;&amp;">&quot;&#39;&amp;</i>0`,
    );
  });

  test("no text can leave an element or an attribute, or hide what it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const escaped = escapeText(text);
        expect(escaped).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
        expect(escaped).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u0000\u001b]/);
        expect(escaped.isWellFormed()).toBe(true);
      }),
    );
  });

  test("shows characters that turn or hide text by their number", () => {
    expect(escapeText("a\u202egpj.exe")).toBe("a\\u{202e}gpj.exe");
    expect(escapeText("\udcff")).toBe("\\u{dcff}");
    expect(escapeText("naïve 名前 🙂")).toBe("naïve 名前 🙂");
  });

  test("a link to a file leads back to its path, whatever bytes it has", () => {
    const part = fc
      .string({ unit: "binary", minLength: 1 })
      .filter((text) => !text.includes("/") && !/^\.{1,2}$/.test(text));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const path = `${parts.join("/")}\udc80`;
        const href = fileHref("r1", path);
        const url = new URL(href, "http://localhost");
        const shown = url.pathname.slice("/runs/r1/files/".length).split("/").map(decodeURIComponent).join("/");
        expect(url.pathname).toBe(href);
        expect(pathFromPrintable(shown)).toBe(path);
      }),
    );
  });

  test("says figures as people read them", () => {
    expect([bytesWords(null), bytesWords(0), bytesWords(1_536), bytesWords(150 * 1024 ** 2)]).toEqual([
      "–",
      "0 B",
      "1.5 KiB",
      "150 MiB",
    ]);
    expect([durationWords(0.4), durationWords(1_500), durationWords(75_000), durationWords(7_260_000)]).toEqual([
      "0 ms",
      "1.5 s",
      "1 min 15 s",
      "2 h 1 min",
    ]);
    expect([percentWords(0.999), percentWords(1), rateWords(0.05), rateWords(1_234.5)]).toEqual([
      "99 %",
      "100 %",
      "3.0 files/min",
      "1,235 files/s",
    ]);
  });

  test("a login leads to a page of this board only", () => {
    for (const next of ["//e.com", "/\\e.com", "https://e.com", "e.com", "", "/a b", "/\t/e.com", 5, undefined]) {
      expect(safeTarget(next)).toBe("/");
    }
    expect(safeTarget("/runs/r1?x=1")).toBe("/runs/r1?x=1");
  });
});
