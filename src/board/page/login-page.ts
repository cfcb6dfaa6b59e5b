/** The page that asks for the admin token, and pages that say what went wrong. */
import { html } from "./html.ts";
import { layout } from "./layout.ts";

/** `next` is where to go afterwards. */
export function loginPage(next: string, fault?: string): string {
  const content = html`<section class="card narrow" aria-labelledby="title">
    <h1 id="title">Sign in</h1>
    ${fault !== undefined && html`<p class="alert" role="alert" id="fault">${fault}</p>`}
    <form method="post" action="/login">
      <input type="hidden" name="next" value="${next}" />
      <label
        >Admin token
        <input
          type="password"
          name="token"
          required
          autocomplete="current-password"
          ${fault !== undefined && html`aria-describedby="fault" aria-invalid="true"`}
      /></label>
      <button class="primary">Sign in</button>
    </form>
    <p class="soft">
      The board printed the token when it first started, and keeps it in <code>board-token</code> in its data folder.
    </p>
  </section>`;
  return layout({ title: "Sign in", content, isBare: true });
}

/** A problem as a page. */
export function problemPage(title: string, detail: string): string {
  const content = html`<section class="card">
    <h1>${title}</h1>
    <p>${detail}</p>
    <p><a href="/">All runs</a></p>
  </section>`;
  return layout({ title, content });
}
