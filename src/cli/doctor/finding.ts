/** What one check of the doctor found. */
export interface Finding {
  readonly check: string;
  readonly status: "ok" | "warn" | "fail";
  readonly found: string;
  /** What mends it; null when there is nothing to mend. */
  readonly fix: string | null;
}
