/** What every page has around its content. */
import { html, type Html } from "./html.ts";

export interface PageParts {
  readonly title: string;
  readonly content: Html;
  /** The entry of the navigation that this page belongs to. */
  readonly section?: "runs" | "workers";
  /** Whether the page shows something that goes on. */
  readonly isLive?: boolean;
  /** Whether somebody signed in, and can sign out. */
  readonly isSignedIn?: boolean;
  /** The login stands alone. */
  readonly isBare?: boolean;
}

const sections = [
  { name: "runs", text: "Runs", href: "/" },
  { name: "workers", text: "Workers", href: "/workers" },
  { name: "queues", text: "Queues", href: "/queues/" },
] as const;

/** A whole document. */
export function layout(page: PageParts): string {
  const { text } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${page.title} · Headroom</title>
        <link rel="icon" href="/assets/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/assets/board.css" />
        ${page.isLive === true && html`<script src="/assets/live.js" defer></script>`}
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        <header class="top">
          <div>
            <a class="brand" href="/"><span aria-hidden="true">▲</span> Headroom</a>
            ${page.isBare !== true && navigation(page)} ${page.isSignedIn === true && signOut()}
          </div>
        </header>
        <main id="main" tabindex="-1" ${page.isLive === true && html` data-live`}>${page.content}</main>
      </body>
    </html>`;
  return text;
}

function navigation({ section }: PageParts): Html {
  const items = sections.map(({ name, text, href }) => {
    const isHere = name === section && html` aria-current="page"`;
    return html`<li><a href="${href}" ${isHere}>${text}</a></li>`;
  });
  return html`<nav aria-label="Main">
    <ul>
      ${items}
    </ul>
  </nav>`;
}

function signOut(): Html {
  return html`<form method="post" action="/logout"><button class="quiet">Sign out</button></form>`;
}

/** The sign in the browser's tab. */
export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#2f7de1" d="M8 1.5 15 14H1z"/></svg>`;
